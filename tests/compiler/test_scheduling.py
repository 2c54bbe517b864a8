"""The scheduler's books: the reservation table and the memory it hands out, on chip ``tiny``."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.scheduling.alus import Chain, Want
from compiler.scheduling.core import ROLE_COST, ROOMY_COST, SCRATCH_BANK, Core
from compiler.scheduling.memory import ALWAYS, Copy, Memory, Written
from compiler.scheduling.tables import EAST, MAX_CYCLES, WEST, Tables
from compiler.scheduling.urgency import DEFER, Urgency
from compiler.tiles import Buffer
from isa.errors import InternalError, LimitError
from isa.instruction import DType
from isa.machine import Fact, Machine, load_chip

TINY, TSP1 = load_chip("tiny"), load_chip("tsp1")
WORDS = TINY["mem.words"]


def buffer(name: str, rows: int = 8, columns: int = 16, starts: tuple[int, ...] = (0,)) -> Buffer:
    return Buffer(name, DType.F32, rows, columns, starts)


# Tables


spans = st.tuples(
    st.integers(0, 40), st.integers(0, 300), st.integers(1, 40), st.integers(1, 4)
)  # row, start, count, step


@given(st.lists(spans, max_size=12), spans)
def test_a_span_is_free_until_one_that_shares_a_cycle_is_taken(
    taken: list[tuple[int, int, int, int]], asked: tuple[int, int, int, int]
) -> None:
    """``free``, ``mask`` and ``blocked`` say the same, and it is what sets of cycles say."""
    tables, busy = Tables(TINY), set()
    for row, start, count, step in taken:
        tables.take(row, start, count, step)
        busy |= {(row, start + i * step) for i in range(count)}
    row, start, count, step = asked
    clear = not busy & {(row, start + i * step) for i in range(count)}
    assert tables.free(*asked) == clear
    assert tables.mask(np.array([row]), np.array([start]), count, step).tolist() == [clear]
    starts = tables.free_starts(np.array([row]), np.array([start]), 5, count)
    assert starts.tolist() == [[tables.free(row, start + i, count, 1) for i in range(5)]]


@given(
    st.lists(spans, max_size=12), st.integers(-20, 60), st.sampled_from([-1, 1]), st.integers(1, 40)
)
def test_evenly_shifted_spans_are_as_free_as_each_alone(
    taken: list[tuple[int, int, int, int]], start: int, slope: int, count: int
) -> None:
    tables = Tables(TINY)
    for span in taken:
        tables.take(*span)
    for step in (1, 2):
        clear = tables.clear(3, 2, (start, slope), 9, count, step)
        alone = [tables.free(3 + 2 * i, start + slope * i, count, step) for i in range(9)]
        assert clear.tolist() == alone


wants = st.tuples(st.booleans(), st.integers(0, 12), st.booleans())  # large, offset, a single one


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 40), st.integers(1, 9)), max_size=40),
    st.lists(wants, min_size=1, max_size=9),
    st.tuples(st.integers(1, 9), st.integers(1, 3)),
    st.integers(0, 30),
)
def test_a_chain_starts_where_each_step_finds_the_first_free_alu(
    busy: list[tuple[int, int, int]], asked: list[tuple[bool, int, bool]],
    rows: tuple[int, int], start: int,
) -> None:  # fmt: skip
    """All starts at once give what taking one ALU after the other at one start gives."""
    tables, large = Tables(TINY), TINY["vxm.large_alus"]
    for alu, column, count in busy:
        tables.take_bits(tables.alu, 1 << alu % TINY["vxm.alus"], column, count, 1)
    tables.commit()
    steps = [Want(big, at, *((1, 1) if single else rows)) for big, at, single in asked]
    chain = Chain(tables, steps, large)
    bits = [1 << i for i in range(TINY["vxm.alus"])]
    for at in range(start, chain.first(start) + 1):
        found = []
        for want in steps:
            groups = bits[:large] if want.large else bits[large:] + bits[:large]
            place = (at + want.offset, want.count, want.step)
            bit = tables.pick((tables.alu,), groups, *place)
            if bit:
                tables.take_bits(tables.alu, bit, *place)
            found.append(bit.bit_length() - 1)
        tables.undo()
        assert (-1 not in found) == (at == chain.first(start))
    assert chain.at(at) == found


@given(st.lists(spans, max_size=6), st.lists(spans, min_size=1, max_size=3))
def test_first_is_the_first_start_at_which_every_span_is_free(
    taken: list[tuple[int, int, int, int]], asked: list[tuple[int, int, int, int]]
) -> None:
    tables, (_, start, count, step) = Tables(TINY), asked[0]
    for span in taken:
        tables.take(*span)
    wanted = [(row, offset - 5) for row, offset, _, _ in asked]
    found = tables.first(wanted, start, count, step)
    free = [
        all(tables.free(row, at + offset, count, step) for row, offset in wanted)
        for at in range(start, found + 1)
    ]
    assert free == [False] * (found - start) + [True]


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6))
def test_undo_gives_back_what_came_after_the_mark(
    kept: list[tuple[int, int, int, int]], tried: list[tuple[int, int, int, int]]
) -> None:
    """Only free spans are ever taken; so they are here."""
    tables = Tables(TINY)
    for span in kept:
        if tables.free(*span):
            tables.take(*span)
    tables.take_bits(tables.alu, 6, 20, 3, 2)
    before, bits, mark = tables.grid.copy(), tables.bits.copy(), len(tables.journal)
    for span in tried:
        if tables.free(*span):
            tables.take(*span)
            tables.take_bits(tables.alu, 8, *span[1:])
    tables.undo(mark)
    assert len(tables.journal) == mark
    np.testing.assert_array_equal(tables.grid, before)
    np.testing.assert_array_equal(tables.bits, bits)
    tables.commit()
    tables.undo()
    np.testing.assert_array_equal(tables.grid, before)


def test_nothing_begins_before_cycle_0_and_the_table_grows() -> None:
    tables = Tables(TINY)
    assert not tables.free(0, -3, 2, 1)
    assert tables.first([(0, -3)], 0, 2, 1) == 3
    assert tables.mask(np.array([0, 0]), np.array([-1, 1]), 2, 1).tolist() == [False, True]
    far = tables.grid.shape[1] * 3
    tables.take(0, far, 4, 2)
    assert not tables.free(0, far + 2, 1, 1)
    assert tables.free(0, far + 1, 1, 1)
    with pytest.raises(LimitError, match="longer than"):
        tables.reach(MAX_CYCLES + 1)


def test_a_stream_is_the_first_free_aligned_group_in_both_halves() -> None:
    tables = Tables(TINY)
    n = TINY.streams
    assert tables.pick_stream(EAST, (0, 1), 10, 4, 1, 4) == 0
    tables.take_stream(EAST, (0,), 1, 1, 12, 1, 1)
    assert tables.pick_stream(EAST, (0,), 10, 4, 1, 4) == 4
    assert tables.pick_stream(EAST, (0, 1), 10, 4, 1, 2) == 2
    # The other half, the other direction, another diagonal and a burst that steps over the cycle do not mind.
    assert tables.pick_stream(EAST, (1,), 10, 4, 1, 4) == 0
    assert tables.pick_stream(WEST, (0,), 10, 4, 1, 4) == 0
    assert tables.pick_stream(EAST, (0,), 13, 4, 1, 4) == 0
    assert tables.pick_stream(EAST, (0,), 11, 4, 2, 4) == 0
    tables.take_stream(EAST, (0,), 0, n, 40, 2, 3)
    assert tables.pick_stream(EAST, (0, 1), 43, 1, 1, 1) is None
    assert tables.pick_stream(EAST, (0, 1), 44, 1, 1, n) == 0
    assert tables.pick_stream(EAST, (0,), -1, 1, 1, 1) is None
    # What `wait_stream` skips would not have been free.
    assert tables.wait_stream(EAST, (0, 1), 43, 1, 1, 1) == 1
    tables.take_stream(WEST, (1,), 0, n, 50, 1, 1)
    tables.take_stream(WEST, (0,), 0, n // 2, 53, 1, 1)
    assert tables.wait_stream(WEST, (0, 1), 50, 3, 1, n) == 4
    assert tables.wait_stream(WEST, (0, 1), 50, 3, 1, n // 2) == 1


@given(st.integers(0, 500), st.integers(0, 20), st.integers(0, 20))
def test_a_value_keeps_its_diagonal_as_it_moves(cycle: int, start: int, moves: int) -> None:
    tables = Tables(TINY)
    east = [tables.diagonal(EAST, cycle + i, start + i) for i in range(moves + 1)]
    west = [tables.diagonal(WEST, cycle + i, start + moves - i) for i in range(moves + 1)]
    assert set(east) == {east[0]}
    assert set(west) == {west[0]}
    assert tables.diagonal(EAST, cycle + 1, start) == east[0] + 1
    assert min(*east, *west) >= 0


def test_streams_that_move_otherwise_are_refused() -> None:
    facts = dict(TINY.facts) | {"streams.hop": Fact(2, "assumed")}
    with pytest.raises(LimitError, match="one position a cycle"):
        Tables(Machine(tuple(sorted(facts.items()))))


# Memory


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60)), max_size=40))
def test_words_in_use_are_nobody_elses(steps: list[tuple[int, int]]) -> None:
    """Constants grow upwards, scratch downwards; released words return, from their time on; an undo leaves no trace."""
    memory, time = Memory(TINY), 0
    live: list[tuple[int, int]] = []
    for kind, words in steps:
        if kind == 0 and memory.room(1)[0] >= words:
            live.append((memory.constant(0, 1, words), words))
        elif kind == 1:
            address = memory.scratch(0, 1, words, time)
            live += [(address, words)] if address is not None else []
            memory.journal.clear()
        elif kind == 2 and live:
            address, size = live.pop(words % len(live))
            time += 10
            memory._add_hole(0, 1, address, size, time)
        elif kind == 3:
            room, holes = memory.room(1)[0], sorted(memory.dead.get((0, 1), []))
            memory.scratch(0, 1, words, time)
            memory.scratch(0, 1, words // 2 + 1, time)
            memory.undo(0)
            assert memory.room(1)[0] == room
            assert _words(memory.dead.get((0, 1), [])) == _words(holes)
        ordered = sorted(live)
        assert all(a >= WORDS and a + n <= 2 * WORDS for a, n in ordered)
        assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(ordered))  # no two overlap


def _words(holes: list[tuple[int, int, int]]) -> dict[int, int]:
    """Dead words, each with the cycle from which it may be written again."""
    return {first + i: time for first, size, time in holes for i in range(size)}


def test_dead_words_are_used_again_once_they_are_dead() -> None:
    memory = Memory(TINY)
    fragment = memory.fragment(buffer("a"), 0, 0)
    address = memory.scratch(3, 0, 8, 100)
    assert address == WORDS - 8
    fragment.copies[0] = [Copy(0, [3], [0], [address], [[]])]
    fragment.last_read = 200
    memory.release(fragment)
    assert memory.scratch(3, 0, 8, 200) == WORDS - 16  # The last read is in cycle 200.
    assert memory.scratch(3, 0, 5, 201) == WORDS - 8  # A piece of them ...
    assert memory.scratch(3, 0, 3, 201) == WORDS - 3  # ... and the rest.
    assert memory.scratch(3, 0, 3, 201) == WORDS - 19
    assert memory.peak_words == 19


def test_neighbouring_dead_words_become_one_piece() -> None:
    memory = Memory(TINY)
    places = [memory.scratch(0, 0, 4, 0) for _ in range(3)]
    for address, time in zip(places, (10, 30, 20), strict=True):
        assert address is not None
        memory._add_hole(0, 0, address, 4, time)
    assert memory.scratch(0, 0, 12, 29) == WORDS - 24  # Dead only when the last of them is.
    assert memory.scratch(0, 0, 12, 30) == WORDS - 12


def test_a_bank_that_is_full_says_so() -> None:
    memory = Memory(TINY)
    assert memory.constant(0, 0, WORDS - 4) == 0
    assert memory.scratch(0, 0, 5, 0) is None
    assert memory.scratch(0, 0, 4, 0) == WORDS - 4
    assert memory.scratch(0, 0, 1, 0) is None
    assert memory.room(0)[0] == 0
    assert memory.room(1)[0] == WORDS


def test_partners_of_a_stencil_keep_apart() -> None:
    memory = Memory(TINY)
    a, b, c = (memory.fragment(buffer(name), 0, 0) for name in "abc")
    memory.join([a, b])
    b.copies[0] = [Copy(0, [2, 5], [0, 0], [0, 0], [[], []])]
    c.copies[0] = [Copy(0, [7], [0], [0], [[]])]
    assert np.flatnonzero(~memory.apart(a)).tolist() == [2, 5]
    assert memory.apart(c).all()
    memory.picked.append((id(b), 9))  # What a trial has chosen counts already.
    assert np.flatnonzero(~memory.apart(a)).tolist() == [2, 5, 9]


def test_a_fragment_is_a_chunk_of_a_block() -> None:
    memory = Memory(TINY)
    wide = buffer("wide", rows=20, columns=2 * TINY.lanes + 1, starts=(0, 12))
    assert memory.fragment(wide, 0, 11) is memory.fragment(wide, 0, 0)
    second = memory.fragment(wide, 2, 15)
    assert (second.start, second.rows, second.chunk) == (12, 8, 2)
    assert second is not memory.fragment(wide, 1, 15)
    with pytest.raises(InternalError, match="no chunk 3"):
        memory.fragment(wide, 3, 0)


@given(
    row=st.integers(0, 12),
    count=st.integers(1, 12),
    stride=st.integers(0, 1),
    step=st.integers(1, 4),
    write_step=st.integers(1, 4),
)
def test_a_read_may_start_once_no_row_of_it_comes_too_early(
    row: int, count: int, stride: int, step: int, write_step: int
) -> None:
    """Rows 4..9 are written from cycle 50 on; the earliest start is found exactly."""
    copy = Copy(0, [0], [0], [0], [[Written(4, 6, 50, write_step)]])
    rows = [(i, row + i * stride) for i in range(count)]
    needed = [50 + (r - 4) * write_step - i * step for i, r in rows if 4 <= r < 10]
    if stride == 0:
        needed = needed[:1]
    assert copy.ready(0, row, count, stride, step) == max(needed, default=ALWAYS)


def test_what_is_wanted_late_waits_for_what_is_wanted_at_once() -> None:
    """Op 2 becomes ready after op 1, and is placed before it; what is left is placed when nothing else can be."""
    urgency = Urgency([4 * DEFER, 2 * DEFER, 4 * DEFER - 1, 0])
    urgency.offer(1)
    assert urgency.take(idle=False) is None
    urgency.finish(0)
    urgency.offer(2)
    urgency.offer(3)
    assert urgency.take(idle=False) == 2
    urgency.finish(2)
    assert urgency.take(idle=False) == 1
    assert urgency.take(idle=False) is None
    assert urgency.take(idle=True) == 3
    assert urgency.take(idle=True) is None


def test_ops_of_like_urgency_are_placed_in_program_order() -> None:
    urgency = Urgency([DEFER, DEFER + 1, 2 * DEFER])
    for i in (2, 1, 0):
        urgency.offer(i)
    assert [urgency.take(idle=False) for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("weights", [0, 1 << 30])
def test_results_lie_among_weights_that_leave_a_bank_free_before_they_wait(weights: int) -> None:
    core = Core(TSP1, Tables(TSP1), Memory(TSP1), weights=weights)
    scratch = buffer("x")
    core.memory.generation[id(scratch)] = SCRATCH_BANK
    # A little busy: worth the weights' slices only if those cost little.
    for slice_ in range(core.inner):
        core.tables.take(core.tables.read + slice_, 0, (ROOMY_COST + ROLE_COST[1]) // 2, 1)
    cycles = core.to_vxm
    places = core.take_writes(core.memory.fragment(scratch, 0, 0), 0, cycles, 8, 1)
    assert places is not None
    own = {core.to_vxm[s] <= core.inner for s, _, _ in places}
    assert own == {weights > 0}
    assert {bank for _, bank, _ in places} == {SCRATCH_BANK}
