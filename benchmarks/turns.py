"""Times of rivals that take turns, for the benchmarks of kernels."""

import time
from collections.abc import Callable, Mapping
from statistics import median

REST = 0.03
"""Seconds without work before each turn: PyTorch's threads hold their processors for some ten milliseconds after a
call, in which whoever comes next would have one less."""

TURN = 0.05
"""Seconds of a turn, in which a rival is called again and again as in a loop of one model; at least three times."""


def seconds(rivals: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Seconds of one call of each: the median over the rounds of the medians of its turns.

    Whatever else the machine does meets all rivals. The first call of each compiles and is not counted, nor is the
    first of each turn, which finds others' data in the caches.
    """
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for call in rivals.values():
        call()
    for _ in range(rounds):
        for name, call in rivals.items():
            time.sleep(REST)
            taken[name].append(_turn(call))
    return {name: median(times) for name, times in taken.items()}


def _turn(call: Callable[[], object]) -> float:
    call()
    until = time.perf_counter() + TURN
    taken: list[float] = []
    while time.perf_counter() < until or len(taken) < 3:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return median(taken)
