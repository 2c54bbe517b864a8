"""The machine as data: a chip file's facts, frozen, with the provenance of each and a hash of all that a schedule depends on.

Order of units from west to east: MXM, SXM, MEM W(n-1)..W0, VXM, MEM E0..E(n-1), SXM, MXM. A unit's index in that order is
its *position*; a stream value moves one position every ``streams.hop`` cycles in its direction.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final, Literal

from isa.errors import InputError

CHIPS: Final = Path(__file__).parent / "chips"
SOURCES: Final = ("published", "inferred", "assumed", "extension")
Hemisphere = Literal["W", "E"]
Value = int | bool | str
LIMITS: Final = {
    "chip.clock_hz": (1, 10**12),
    "lanes.superlanes": (1, 32),
    "lanes.per_superlane": (1, 16),
    "streams.per_direction": (1, 32),
    "streams.hop": (1, 64),
    "mem.slices": (1, 256),
    "mem.banks": (1, 16),
    "mem.words": (1, 1 << 16),
    "mxm.planes": (1, 8),
    "mxm.fp16_k": (1, 511),
    "mxm.window": (1, 511),
    "mxm.acc_rows": (1, 256),
    "mxm.weight_streams": (1, 31),
    "mxm.array_latency": (1, 1 << 16),
    "vxm.alus": (1, 64),
    "vxm.large_alus": (0, 64),
    "vxm.immediates": (0, 1),
    "vxm.max_delay": (0, 63),
    "vxm.logic": (0, 1),
    "vxm.compare": (0, 1),
    "sxm.queues": (0, 64),
    "c2c.queues": (0, 64),
    "cost.watts": (0, 10**6),
    "cost.card_dollars": (0, 10**9),
    "cost.lifetime_days": (1, 10**6),
    "cost.busy_percent": (1, 100),
}
"""What a chip can have and still be addressed by the instruction words' fields; ``limits`` has the rest."""


def limits(name: str) -> tuple[int, int]:
    """Least and greatest value of a count. A result takes a cycle at least: of all latencies only ``timing.stagger`` may be 0."""
    latency = name.startswith("timing.") and name != "timing.stagger"
    return LIMITS.get(name, (int(latency), 1 << 16))


@dataclass(frozen=True, slots=True)
class Fact:
    """One field of a chip file: its value and where the value comes from."""

    value: Value
    source: str
    note: str = ""


@dataclass(frozen=True)
class Machine:
    """Chip facts by ``section.field``; ``machine["mem.slices"]`` gives an integer.

    Queues are numbered MEM (west 0.., then east), VXM ALUs, MXM (planes W0 W1 E0 E1; weights, activations, accumulate
    each), SXM (west, east), C2C (west, east): 144 on ``tsp1``, as published.
    """

    facts: tuple[tuple[str, Fact], ...]

    @cached_property
    def _by_name(self) -> dict[str, Fact]:
        return dict(self.facts)

    def __getitem__(self, name: str) -> int:
        return int(self._by_name[name].value)

    def __hash__(self) -> int:
        return hash(self.abi_hash)

    @property
    def name(self) -> str:
        """The chip's name."""
        return str(self._by_name["chip.name"].value)

    @cached_property
    def abi_hash(self) -> str:
        """SHA-256 (hex) of every field a schedule depends on: all but the name, the clock and what a run costs."""
        relevant = {k: f.value for k, f in self.facts if not k.startswith(("chip.", "cost."))}
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()

    @cached_property
    def lanes(self) -> int:
        """Bytes of one stream vector."""
        return self["lanes.superlanes"] * self["lanes.per_superlane"]

    @cached_property
    def slices(self) -> int:
        """MEM slices a hemisphere."""
        return self["mem.slices"]

    @cached_property
    def words(self) -> int:
        """Vectors a MEM slice, all banks."""
        return self["mem.banks"] * self["mem.words"]

    @cached_property
    def streams(self) -> int:
        """Streams a direction; stream numbers are E0.. = 0.., then W0.. = ``streams``.."""
        return self["streams.per_direction"]

    @cached_property
    def positions(self) -> int:
        """Number of unit positions."""
        return 2 * self.slices + 5

    @cached_property
    def vxm_position(self) -> int:
        """Position of the VXM."""
        return self.slices + 2

    @cached_property
    def vxm_queue(self) -> int:
        """Queue of VXM ALU 0."""
        return 2 * self.slices

    @cached_property
    def mxm_queue(self) -> int:
        """First MXM queue; queue = this + 3 * plane + role (0 weights, 1 activations, 2 accumulate)."""
        return self.vxm_queue + self["vxm.alus"]

    @cached_property
    def sxm_queue(self) -> int:
        """First SXM queue (west)."""
        return self.mxm_queue + 6 * self["mxm.planes"]

    @cached_property
    def c2c_queue(self) -> int:
        """First C2C queue (west)."""
        return self.sxm_queue + 2 * self["sxm.queues"]

    @cached_property
    def queues(self) -> int:
        """Number of instruction queues."""
        return self.c2c_queue + 2 * self["c2c.queues"]

    @cached_property
    def queue_names(self) -> tuple[str, ...]:
        """Each queue's name: ``MEM_W3``, ``VXM_0``, ``MXM_E0.weights``, ``SXM_W.2``, ``C2C_E.0``."""
        mem = [f"MEM_{h}{i}" for h in "WE" for i in range(self.slices)]
        vxm = [f"VXM_{i}" for i in range(self["vxm.alus"])]
        roles = ("weights", "activations", "accumulate")
        mxm = [f"MXM_{h}{p}.{r}" for h in "WE" for p in range(self["mxm.planes"]) for r in roles]
        sxm = [f"SXM_{h}.{i}" for h in "WE" for i in range(self["sxm.queues"])]
        c2c = [f"C2C_{h}.{i}" for h in "WE" for i in range(self["c2c.queues"])]
        return tuple(mem + vxm + mxm + sxm + c2c)

    @cached_property
    def queue_numbers(self) -> Mapping[str, int]:
        """Each queue's number by its name."""
        return {name: number for number, name in enumerate(self.queue_names)}

    @cached_property
    def queue_kinds(self) -> tuple[str, ...]:
        """Each queue's unit kind: ``MEM``, ``VXM``, ``MXM``, ``SXM`` or ``C2C``."""
        return tuple(name[:3] for name in self.queue_names)

    @cached_property
    def queue_positions(self) -> tuple[int, ...]:
        """Each queue's position."""

        def where(name: str) -> int:
            kind, _, rest = name.partition("_")
            east = rest.startswith("E")
            if kind == "MEM":
                return self.mem_position("E" if east else "W", int(rest[1:]))
            inward = {"VXM": self.vxm_position, "MXM": 0, "SXM": 1, "C2C": 1}[kind]
            return self.positions - 1 - inward if east else inward

        return tuple(where(name) for name in self.queue_names)

    def mem_queue(self, hemisphere: Hemisphere, index: int) -> int:
        """Queue, and number in ``0..2*slices-1``, of a MEM slice."""
        return index + (self.slices if hemisphere == "E" else 0)

    def mem_position(self, hemisphere: Hemisphere, index: int) -> int:
        """Position of a MEM slice; index 0 is next to the VXM."""
        return self.vxm_position + (1 + index if hemisphere == "E" else -1 - index)

    def timing(self, key: str) -> int:
        """A latency of the ``[timing]`` section, in cycles."""
        return self[f"timing.{key}"]


def parse_chip(text: str, where: str) -> Machine:
    """A machine from the text of a chip file; raises ``InputError`` TSP150 naming the field."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(150, f"not a chip file: {error}", where=where) from None
    facts: dict[str, Fact] = {}
    for section, fields in tables.items():
        for field, entry in fields.items() if isinstance(fields, dict) else ():
            if not isinstance(entry, dict) or "value" not in entry:
                raise InputError(150, f"field {section}.{field} has no value", where=where)
            if entry.get("source") not in SOURCES:
                hint = f"tag it with one of: {', '.join(SOURCES)}"
                raise InputError(
                    150, f"field {section}.{field} has no source", where=where, hint=hint
                )
            value, note = entry["value"], str(entry.get("note", ""))
            facts[f"{section}.{field}"] = Fact(value, entry["source"], note)
    return make_machine(facts, where)


def make_machine(facts: dict[str, Fact], where: str) -> Machine:
    """A machine from its facts by name; raises ``InputError`` TSP150 for a missing, unknown or impossible one."""
    for name in sorted(_known_fields() ^ facts.keys()):
        problem = "unknown" if name in facts else "missing"
        raise InputError(150, f"{problem} field {name}", where=where)
    for name, fact in facts.items():
        if name == "chip.name":
            if not isinstance(fact.value, str):
                raise InputError(150, f"field {name} is not a text: {fact.value!r}", where=where)
            continue
        low, high = limits(name)
        if not isinstance(fact.value, int):
            raise InputError(150, f"field {name} is not a count: {fact.value!r}", where=where)
        if not low <= fact.value <= high:
            message = f"field {name} = {fact.value} is outside {low} .. {high}"
            raise InputError(150, message, where=where)
    machine = Machine(tuple(sorted(facts.items())))
    if machine.words > 1 << 16:
        message = f"mem.banks * mem.words = {machine.words}: a word address has 16 bits"
        raise InputError(150, message, where=where)
    return machine


@cache
def _known_fields() -> frozenset[str]:
    """The field names every chip file has: those of ``tsp1``."""
    tables = tomllib.loads((CHIPS / "tsp1.toml").read_text())
    return frozenset(f"{s}.{f}" for s, fields in tables.items() for f in fields)


@cache
def load_chip(name_or_path: str = "tsp1") -> Machine:
    """A preset by name (``tsp1``, ``tsp1-deep``, ``tiny``) or a chip file by path.

    Raises ``InputError`` TSP151 when there is no such chip, TSP150 when the file is invalid.
    """
    preset = CHIPS / f"{name_or_path}.toml"
    path = preset if "/" not in name_or_path and preset.is_file() else Path(name_or_path)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in CHIPS.glob("*.toml")))
        raise InputError(
            151, f"no chip {name_or_path!r}", hint=f"presets: {names}; or give a .toml file"
        )
    return parse_chip(path.read_text(), str(path))
