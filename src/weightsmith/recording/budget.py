"""How the recorder keeps to its share of the time: a stopwatch, a token bucket per activity, and spacing rules.

Training time earns credit, activities spend it. Each activity has its own bucket, so that a costly one (a snapshot)
cannot starve a cheap one (norms); what a full bucket cannot take flows to the others. An activity that has to happen
whatever it costs drives its bucket below zero, and the debt is paid off before the next one.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

PARTS = {"scalars": 0.4, "activations": 0.1, "sketches": 0.25, "snapshots": 0.1, "writing": 0.15}
"""What part of the credit flows to each activity while none of the buckets is full."""

CAPACITY = 2.0
"""A bucket holds this many times its activity's cost: a pause in training does not turn into a burst of work."""

HEAD_START = 0.05
"""Seconds of credit lent at the start, so that a run of a second has something to show; repaid first of all."""

_MEMORY = 0.3  # weight of the newest cost in the running mean: a one-off delay is forgotten after a few measurements


class Stopwatch:
    """Wall time, charged to exactly one activity at any moment.

    Args:
        clock: returns seconds; only differences count.
        activity: what the time is charged to from now on.
    """

    __slots__ = ("_activity", "_clock", "_since", "seconds")

    def __init__(self, clock: Callable[[], float], activity: str) -> None:
        self._clock = clock
        self._activity = activity
        self._since = clock()
        self.seconds = dict.fromkeys(("training", "setup", "bookkeeping", *PARTS), 0.0)

    def switch(self, activity: str) -> str:
        """Charge the time from now on to `activity`; returns what it was charged to until now."""
        now = self._clock()
        previous = self._activity
        self.seconds[previous] += now - self._since
        self._since = now
        self._activity = activity
        return previous

    def elapsed(self) -> float:
        """Seconds since the last switch."""
        return self._clock() - self._since

    def add(self, activity: str, seconds: float) -> None:
        """Charge time that passed elsewhere, on an accelerator."""
        self.seconds[activity] += seconds

    def shift(self, source: str, target: str, seconds: float) -> None:
        """Charge to `target` what was charged to `source`."""
        self.seconds[source] -= seconds
        self.seconds[target] += seconds

    @contextmanager
    def charging(self, activity: str) -> Iterator[None]:
        """Charge the time inside the block to `activity`, and to what it was charged to before afterwards."""
        previous = self.switch(activity)
        try:
            yield
        finally:
            self.switch(previous)

    def timed(self, activity: str, work: Callable[[], None]) -> float:
        """Do some work, charge it, and return the seconds it took."""
        with self.charging(activity):
            before = self.seconds[activity]
            work()
        return self.seconds[activity] - before


class Budget:
    """Token buckets over a stopwatch.

    Args:
        share: seconds the recorder may take per second of training; infinity lifts every limit.
        stopwatch: where training time and the time spent are read.
        head_start: seconds of credit lent at the start.
    """

    def __init__(self, share: float, stopwatch: Stopwatch, head_start: float = HEAD_START) -> None:
        self.share = share
        self._stopwatch = stopwatch
        self._lent = self._given = head_start if 0 < share < math.inf else 0.0
        self._earned = {name: part * self._lent for name, part in PARTS.items()}
        self._cost = dict.fromkeys(PARTS, 0.0)

    def expect(self, activity: str, seconds: float) -> None:
        """Set what one occurrence is believed to cost before the first has been seen."""
        self._cost[activity] = seconds

    def observe(self, activity: str, seconds: float) -> None:
        """Take the cost of one occurrence into the running mean."""
        known = self._cost[activity]
        self._cost[activity] = known + _MEMORY * (seconds - known) if known else seconds

    def reserve(self, activity: str, seconds: float) -> None:
        """Set credit aside for an occurrence that will certainly come."""
        self._earned[activity] -= seconds

    def balance(self, activity: str) -> float:
        """Seconds earned and not spent; below zero after something that had to happen."""
        return self._earned[activity] - self._stopwatch.seconds[activity]

    def affords(self, activity: str) -> bool:
        """Whether one more occurrence fits, judged by what it cost before."""
        return math.isinf(self.share) or (self.share > 0 and self.balance(activity) >= self._cost[activity])

    @property
    def in_debt(self) -> bool:
        """Whether the run is too short so far to have earned its head start."""
        clocked = self._stopwatch.seconds
        return self._lent > 0 and self.share * clocked["training"] - clocked["bookkeeping"] < self._lent

    def settle(self) -> None:
        """Turn the training time since the last call into credit, less what each step's bookkeeping cost."""
        if math.isinf(self.share):
            return
        clocked = self._stopwatch.seconds
        credit = self.share * clocked["training"] - clocked["bookkeeping"] - self._given
        self._given += max(credit, 0.0)
        # What one bucket cannot take goes to the others; with all full it lapses, for all that is wanted is paid for.
        for _ in PARTS:
            room = self._room()
            if credit <= 0.0 or not room:
                return
            parts = sum(PARTS[name] for name in room)
            taken = {name: min(free, credit * PARTS[name] / parts) for name, free in room.items()}
            for name, seconds in taken.items():
                self._earned[name] += seconds
            credit -= sum(taken.values())

    def wait(self, activity: str) -> float:
        """Seconds of training until `activity` can be afforded, if nothing else spends; infinity for never."""
        if self.affords(activity):
            return 0.0
        parts = sum(PARTS[name] for name in self._room())
        rate = self.share * PARTS[activity] / parts if parts else 0.0
        return (self._cost[activity] - self.balance(activity)) / rate if rate > 0.0 else math.inf

    def _room(self) -> dict[str, float]:
        free = {name: CAPACITY * self._cost[name] - self.balance(name) for name in PARTS}
        return {name: seconds for name, seconds in free.items() if seconds > 0.0}


class Spacing:
    """When the next of a kind is worth having: evenly in log time at first, then evenly, then thinning slowly.

    Args:
        growth: factor between one step and the next at which one is wanted.
        seconds: training time after which one is wanted in any case.
        share: the same as a share of the training time so far, so that a long run keeps a bounded number.
    """

    def __init__(self, growth: float, seconds: float, share: float) -> None:
        self._growth = growth
        self._seconds = seconds
        self._share = share
        self._last_step = 0
        self._last_time = 0.0

    def wants(self, step: int, time: float) -> bool:
        """Whether one is wanted at `step`, after `time` seconds of training."""
        return step >= math.floor(self._growth * self._last_step) + 1 or (
            time - self._last_time >= max(self._seconds, self._share * time)
        )

    def done(self, step: int, time: float) -> None:
        """Remember that one was taken."""
        self._last_step, self._last_time = step, time


@dataclass(frozen=True)
class RecorderCost:
    """What recording cost, and what it was spent on.

    Attributes:
        budget: the share that was allowed.
        share: seconds recording took per second of training, setup apart.
        training: seconds of training, without recording.
        setup: seconds before the first step: compiled kernels loaded, the run created.
        seconds: seconds by activity: `bookkeeping` (each step's loss and metrics), `scalars`, `activations`,
            `sketches`, `snapshots`, `writing`.
        steps: steps seen.
        measured: steps whose weights and gradients were measured.
        sketched: steps at which sketches were taken.
        snapshots: snapshots written.
        snapshot_bytes: bytes of weights in them.
    """

    budget: float
    share: float
    training: float
    setup: float
    seconds: dict[str, float]
    steps: int
    measured: int
    sketched: int
    snapshots: int
    snapshot_bytes: int

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values; an unlimited budget is None there."""
        return {**asdict(self), "budget": self.budget if math.isfinite(self.budget) else None}
