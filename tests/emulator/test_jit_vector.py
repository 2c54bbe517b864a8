"""Every VXM operation on every type, lowered and as declared, over all pairs of special values and random bits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from emulator.jit import Kernel
from emulator.jit import kernel as kernel_module
from emulator.jit.host import Host, this_host
from isa.instruction import REGISTRY, DType, Source, SourceKind
from isa.machine import load_chip
from isa.ops.mem import Read, Write
from isa.ops.vxm import VxmInstruction
from isa.program import BurstList, Program, pack_constants

TINY = load_chip("tiny")
VXM = sorted(name for name, cls in REGISTRY.items() if cls.unit == "VXM")
RESULT = 16
"""Stream of the result, away from the operands: an operand's stream would carry it back to the ALU."""
SPECIAL = {
    DType.I8: "0 1 2 7 8 7f 80 81 fe ff",
    DType.I16: "0 1 f 10 7f 80 ff 7fff 8000 8001 ff80 ffff",
    DType.I32: "0 1 1f 20 7f 80 7fff 8000 ffffff 7fffffff 80000000 ffffffff",
    DType.F16: "0 8000 1 8001 3ff 400 3c00 bc00 7bff fbff 7c00 fc00 7e00 fe00 7c01 fdff 3555 5c00 d801",
    DType.F32: "0 80000000 1 807fffff 800000 3f800000 bf800000 7f7fffff ff7fffff 7f800000 ff800000 "
    "7fc00000 ffc12345 7f800001 42b17218 c2d00000 c2cfffff 3f200000 3f1fffff 477fefff 477ff000 "
    "33000001 38800000 387fffff 4f000000 cf000000 4effffff 43000000 c3008000 "
    "42b17217 42b17219 42b40000 42b40001 c2d00001 c2cffffe c2aeac50 c2ce8ed0",
}
"""Bits: zeros, subnormals, limits, infinities, quiet and signalling NaN, and the edges of exp, tanh and conversions."""


def operand_rows(dtype: DType, arity: int) -> list[npt.NDArray[np.uint32]]:
    """``[rows, lanes]`` bits for each operand: every pair of special values, then random bits."""
    rng, special = (
        np.random.RandomState(int(dtype)),
        np.array([int(x, 16) for x in SPECIAL[dtype].split()], np.uint32),
    )
    a, b = (v.ravel() for v in np.meshgrid(special, special))
    random = rng.randint(0, 1 << 32, (2, 40 * TINY.lanes), np.uint64).astype(np.uint32)
    mask = np.uint32((1 << 8 * dtype.planes) - 1)
    pairs = [np.concatenate([x, r & mask]) for x, r in zip((a, b), random, strict=True)]
    rows = len(pairs[0]) // TINY.lanes
    third = rng.randint(0, 3, rows * TINY.lanes).astype(np.uint32)
    cut = [p[: rows * TINY.lanes] for p in pairs] + [third]
    return [p.reshape(rows, TINY.lanes) for p in cut[:arity]]


def planes(bits: npt.NDArray[np.uint32], count: int) -> npt.NDArray[np.uint8]:
    """``[planes, rows, lanes]`` bytes."""
    return np.stack([(bits >> 8 * p & 255).astype(np.uint8) for p in range(count)])


def program_of(cls: Any, fields: dict[str, int], operands: list[Any]) -> Program:
    """Operands read from memory (W slices), one instruction, all result planes written (E slices)."""
    rows, bursts, constants, stream = operands[0].shape[1], BurstList(), [], 0
    dispatch, sources, slice_ = 100, {}, 0
    for name, data in zip("abc", operands, strict=False):
        stream = -(-stream // len(data)) * len(data)
        sources[name] = Source(SourceKind.STREAM, stream).pack()
        for plane in data:
            start = dispatch - TINY.timing("mem_read") - (1 + slice_)
            bursts.add(slice_, start, Read(0, stream), rows, 1, 1)
            constants.append((slice_, 0, plane))
            slice_, stream = slice_ + 1, stream + 1
    instr: VxmInstruction = cls(**sources, **fields, east=RESULT + 1)
    bursts.add(TINY.vxm_queue, dispatch, instr, rows)
    for p in range(instr.result_dtype.planes):
        bursts.add(
            TINY.slices + p,
            dispatch + TINY.timing("vxm_alu") + 1 + p,
            Write(0, RESULT + p),
            rows,
            1,
            1,
        )
    segments, data = pack_constants(constants, TINY.lanes)
    return Program(TINY, bursts.array(), segments, data)


def declared(program: Program, operands: list[Any]) -> npt.NDArray[np.uint8]:
    """``[planes, rows, lanes]``: what ``execute`` makes of each row."""
    index = int(np.flatnonzero(program.bursts["queue"] == TINY.vxm_queue)[0])
    instr: Any = program.instruction(index)
    out: list[npt.NDArray[np.uint8]] = []
    by_stream = {
        Source.unpack(getattr(instr, n)).index: d for n, d in zip("abc", operands, strict=False)
    }
    for row in range(operands[0].shape[1]):
        port: Any = SimpleNamespace(
            machine=TINY,
            stream=lambda stream, _planes, _delay, row=row: by_stream[stream][:, row],
            put=lambda *_: None,
            produce=out.append,
        )
        instr.execute(port)
    return np.stack(out, 1)


def variants(cls: Any) -> list[dict[str, int]]:
    """All settings of type, target type and flags."""
    names = {o.name for o in cls.operands}
    out = [{"dtype": int(t)} for t in cls.types]
    if "to" in names:
        out = [{**v, "to": int(t)} for v in out for t in DType]
    if "saturate" in names:
        out = [{**v, "saturate": s} for v in out for s in (0, 1)]
    return out


def check(mnemonic: str, cache: Any) -> None:
    cls: Any = REGISTRY[mnemonic]
    for fields in variants(cls):
        dtype = DType(fields["dtype"])
        raw = operand_rows(dtype, cls.arity)
        counts = [1 if number == 2 else dtype.planes for number in range(cls.arity)]
        operands = [planes(r, c) for r, c in zip(raw, counts, strict=True)]
        program = program_of(cls, fields, operands)
        expected = declared(program, operands)
        kernel = Kernel(program, cache_dir=cache)
        kernel.run({})
        count, rows, _ = expected.shape
        found = kernel.final_memory[TINY.slices : TINY.slices + count, :rows]
        wrong = np.argwhere((found != expected).any(0))
        if len(wrong):
            r, lane = wrong[0]
            bits = [hex(int(x[r, lane])) for x in raw]
            pytest.fail(
                f"{mnemonic} {fields} {bits}: {found[:, r, lane]}, not {expected[:, r, lane]}"
            )


def test_exp_where_its_results_end(tmp_path: Any) -> None:
    """Every 509th float32 from where results are subnormal to where they are infinite, on both sides of each end."""
    low = np.arange(0xC2A00000, 0xC2E00000, 509, dtype=np.uint32)
    high = np.arange(0x42B00000, 0x42C00000, 509, dtype=np.uint32)
    bits = np.concatenate([low, high])
    rows = len(bits) // TINY.lanes
    operands = [planes(bits[: rows * TINY.lanes].reshape(rows, TINY.lanes), 4)]
    program = program_of(REGISTRY["exp"], {"dtype": int(DType.F32)}, operands)
    kernel = Kernel(program, cache_dir=tmp_path)
    kernel.run({})
    found = kernel.final_memory[TINY.slices : TINY.slices + 4, :rows]
    assert np.array_equal(found, declared(program, operands))


@pytest.mark.parametrize("mnemonic", VXM)
def test_operation_as_declared(mnemonic: str, tmp_path: Any) -> None:
    check(mnemonic, tmp_path)


@pytest.mark.parametrize("mnemonic", VXM)
def test_operation_on_a_host_without_vector_extensions(
    mnemonic: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits do not depend on the host: here one that has neither fused steps nor float16."""
    host = this_host()
    if host.arch != "x86_64":
        pytest.skip("this host has one kind of vectors")
    plain = Host(host.triple, "x86-64", "", host.llvm)
    monkeypatch.setattr(kernel_module, "this_host", lambda: plain)
    check(mnemonic, tmp_path)
