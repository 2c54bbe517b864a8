"""Which of some matrix jobs a pair starts: as few as possible are tried out to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compiler.scheduling.feed import Pair
from compiler.scheduling.matrix import MatrixPlacer
from compiler.tiles import MatrixJob


class Probes:
    """What is known of the cycles in which jobs could start.

    Reservations are never taken back, so what a probe once found bounds all later ones, unless the pair then has the job's
    weights.
    """

    def __init__(self, matrix: MatrixPlacer, slack: int) -> None:
        self.matrix, self.slack = matrix, slack
        self.least: dict[tuple[int, int], int] = {}

    def choose(
        self, jobs: Mapping[int, MatrixJob], order: Sequence[int], starts: Mapping[int, int],
        pair: Pair, latest: int | None,
    ) -> int | None:  # fmt: skip
        """The first in ``order`` that starts by ``latest``, or, if that is None, within the slack of the soonest.

        ``starts`` has a cycle for each before which it cannot start.
        """
        real: dict[int, int] = {}

        def least(i: int) -> int:
            known = 0 if self._loaded(jobs[i], pair) else self.least.get((i, pair.hemisphere), 0)
            return real.get(i, max(starts[i], known))

        def start(i: int) -> int:
            if i not in real:
                real[i] = self.matrix.probe(jobs[i], pair.hemisphere)
                self.least[i, pair.hemisphere] = real[i]
            return real[i]

        if latest is None:
            if len(order) == 1 or start(order[0]) <= pair.free + self.slack:
                return order[0]
            soonest = start(order[0])
            for i in sorted(order[1:], key=least):
                if least(i) >= soonest:
                    break
                soonest = min(soonest, start(i))
            latest = soonest + self.slack
        return next((i for i in order if least(i) <= latest and start(i) <= latest), None)

    def _loaded(self, job: MatrixJob, pair: Pair) -> bool:
        return job.passes[0].weights is pair.weights
