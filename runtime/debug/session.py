"""A debugging session: commands in, results as data out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from emulator.rewind import BYTES, Rewinder
from isa.errors import UsageError
from isa.program import Program
from runtime.debug.breakpoints import Breakpoint
from runtime.debug.commands import (
    HELP,
    Command,
    Expect,
    ExpectState,
    Help,
    Look,
    Move,
    Remove,
    Stop,
)
from runtime.debug.looking import Result, due, floor, looked_at, named, type_of, value, who
from runtime.debug.names import Names
from runtime.debug.travel import Traveller
from runtime.debug.values import BAD_COMMAND


class Session:
    """A run of ``program`` on ``inputs``, standing in cycle 0.

    ``source`` is what the text was called that the program was assembled from. ``execute`` gives a result: a dictionary of plain data with
    a ``kind`` (``stop``, ``value``, ``flight``, ``who``, ``floor``, ``names``, ``breaks``, ``set``, ``expect``, ``help``,
    ``quit``). Raises ``InputError`` TSP60x as ``emulator.image.write_inputs`` does.
    """

    def __init__(
        self,
        program: Program,
        inputs: Mapping[str, npt.NDArray[Any]],
        source: str = "",
        bytes_: int = BYTES,
    ) -> None:
        self.names = Names(program, source)
        self.run = Rewinder(program, inputs, bytes_)
        self.breakpoints: dict[int, Breakpoint] = {}
        self.watches: dict[int, Look] = {}
        self.travel = Traveller(self.run, self.names, self._passing)
        self.travel.breakpoints = self.breakpoints
        self._given = 0
        self._shown: dict[int, Result] = {}
        self._changes: list[Result] = []

    def execute(self, command: Command) -> Result:
        """Do what a command says. Raises ``UsageError`` TSP820 where there is nothing of that number."""
        match command:
            case Move() | Command(name="continue" | "reverse"):
                return self._move(command)
            case Command(name="here"):
                return self._stopped("here")
            case Stop():
                return self._set(self.breakpoints, command.breakpoint, command.breakpoint.text)
            case Look(name="watch"):
                return self._set(self.watches, command, command.text)
            case Remove():
                return self._remove(command)
            case Look(name="print"):
                return looked_at(self.run, self.names, command)
            case Look():
                return who(self.run, self.names, command)
            case Expect() | ExpectState():
                return self._expect(command)
            case Help():
                return {"kind": "help", "topic": command.topic, "commands": sorted(HELP)}
            case Command(name="floor"):
                return floor(self.run, self.names)
            case Command(name="names"):
                return named(self.names)
            case Command(name="breaks"):
                return self._breaks()
        return {"kind": command.name}

    def _move(self, command: Command) -> Result:
        self._changes = []
        self._look_again()
        amount = command.amount if isinstance(command, Move) else 0
        cycle, dispatched = self.run.position
        travel = self.travel
        match command.name:
            case "goto":
                why = travel.to_cycle(amount)
            case "step":
                why = travel.to_cycle(cycle + amount)
            case "back":
                why = travel.to_cycle(max(0, cycle - amount + (dispatched > 0 and amount > 0)))
            case "stepi":
                why = travel.dispatches(amount)
            case "backi":
                why = travel.dispatches_back(amount)
            case "continue":
                why = travel.on()
            case _:
                why = travel.back()
        return self._stopped(why)

    def _stopped(self, why: str) -> Result:
        """Where the run stands. ``why`` is a move's; a run that has ended or cannot go on says so whatever the move."""
        machine, fault = self.run.interpreter, self.run.fault
        if fault is not None:
            why = "fault"
        elif self.run.finished and why != "breakpoint":
            why = "finished"
        result: Result = {
            "kind": "stop",
            "why": why,
            "cycle": machine.cycle,
            "dispatched": machine.dispatched,
            "due": due(machine, self.names),
            "changes": self._changes,
        }
        if why == "breakpoint":
            result["breakpoints"] = [
                {"number": n, "text": self.breakpoints[n].text} for n in self.travel.reached
            ]
        if self.run.finished:
            result["cycles"] = machine.cycle + machine.machine.timing("stagger")
        if fault is not None:
            result["error"] = fault.to_dict()
        self._changes = []
        return result

    def _passing(self) -> None:
        """In every cycle on the way: what watches see, where it has changed."""
        for number, look in self.watches.items():
            seen = self._seen(look)
            if seen.get("bits") != self._shown[number].get("bits"):
                cycle = self.run.position.cycle
                self._changes.append({"watch": number, "cycle": cycle, **seen})
            self._shown[number] = seen

    def _look_again(self) -> None:
        self._shown = {number: self._seen(look) for number, look in self.watches.items()}

    def _seen(self, look: Look) -> Result:
        return value(self.run, self.names, look.place, look.type, look.lanes)

    def _set(self, table: dict[int, Any], what: Any, text: str) -> Result:
        self._given += 1
        table[self._given] = what
        kind = "watch" if isinstance(what, Look) else "breakpoint"
        return {"kind": "set", "what": kind, "number": self._given, "text": text}

    def _remove(self, command: Remove) -> Result:
        table: dict[int, Any] = self.breakpoints if command.name == "delete" else self.watches
        what = "breakpoint" if command.name == "delete" else "watch"
        numbers = [command.number] if command.number is not None else list(table)
        for number in numbers:
            if number not in table:
                raise UsageError(BAD_COMMAND, f"no {what} {number}", hint="breaks lists them")
            del table[number]
        return {"kind": "removed", "what": what, "numbers": numbers}

    def _breaks(self) -> Result:
        listed = [{"number": n, "text": b.text} for n, b in self.breakpoints.items()]
        watched = [{"number": n, "text": look.text} for n, look in self.watches.items()]
        return {"kind": "breaks", "breakpoints": listed, "watches": watched}

    def _expect(self, command: Expect | ExpectState) -> Result:
        result: Result = {"kind": "expect", "text": command.text}
        if isinstance(command, ExpectState):
            return result | self._expect_state(command)
        place, predicate = command.place, command.predicate
        kind = type_of(self.run, self.names, place, command.type)
        found = place.read(self.run.interpreter, kind.planes)
        if predicate is None or found is None:
            passed = predicate is None and found is None
            there = "nothing is there" if found is None else "something is there"
            return result | {"passed": passed, "found": there}
        predicate.check(kind)
        chosen = command.lanes.of(found.data.shape[1])
        numbers = kind.numbers(found.data[:, chosen])
        good = predicate.holds(numbers, kind) & found.known[chosen]
        if good.all():
            return result | {"passed": True, "found": ""}
        place_ = int(np.argmin(good))
        shown = kind.text(numbers[place_]) if found.known[chosen][place_] else "nothing"
        message = f"lane {chosen[place_]} is {shown}"
        more = int((~good).sum()) - 1
        return result | {"passed": False, "found": message + (f", and {more} more" if more else "")}

    def _expect_state(self, command: ExpectState) -> Result:
        cycle, fault = self.run.position.cycle, self.run.fault
        if command.what == "cycle":
            return {"passed": cycle == command.number, "found": f"it is cycle {cycle}"}
        if command.what == "finished":
            return {"passed": self.run.finished, "found": f"it stands in cycle {cycle}"}
        found = "there is none" if fault is None else fault.code
        passed = fault is not None and command.number in (0, fault.number)
        return {"passed": passed, "found": found}
