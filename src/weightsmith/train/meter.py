"""The training loss and metric of the epoch at hand, read from the device as seldom as that allows."""

from math import fsum
from typing import Any

import torch
from torch import Tensor

from weightsmith.train.evaluate import Scores
from weightsmith.train.objective import Metric, metric_value
from weightsmith.train.processes import Processes


class Meter:
    """Sums over the batches of one epoch.

    Losses are kept one by one and summed exactly, so that an epoch interrupted by a checkpoint has the same mean to the
    last bit as one that was not.

    Args:
        metric: which metric the scores make up.
        rows: rows of a whole epoch.
        against: what the metric of a whole epoch is measured against (`objective.spread`).
    """

    def __init__(self, metric: Metric, rows: int, against: float) -> None:
        self._metric: Metric = metric
        self._whole = (rows, against)
        self._pending: list[tuple[Tensor, Tensor, int]] = []
        self._losses: list[float] = []
        self._score = 0.0
        self.rows = 0

    def add(self, loss: Tensor, score: Tensor, size: int) -> None:
        """Take in a batch without waiting for the device.

        Args:
            loss: this process's part of the mean loss of the batch: a detached scalar.
            score: the score summed over this process's rows.
            size: rows of the batch on all processes.
        """
        self._pending.append((loss, score, size))

    def read(self, processes: Processes, signals: list[float]) -> tuple[list[float], list[float]]:
        """Wait for the losses since the last read; every process calls it at the same step.

        Args:
            processes: losses and signals are summed over them.
            signals: numbers to be summed along with the losses.

        Returns:
            The mean loss of each batch, and the summed signals.
        """
        pending, self._pending = self._pending, []
        shared = processes.sum([*_read([loss for loss, _, _ in pending]), *signals])
        scores = _read([score for _, score, _ in pending])
        losses = shared[: len(pending)]
        for loss, score, (_, _, size) in zip(losses, scores, pending, strict=True):
            self._losses.append(loss * size)
            self._score += score
            self.rows += size
        return losses, shared[len(pending) :]

    def scores(self, processes: Processes) -> Scores:
        """Mean loss and metric of what was read; of part of an epoch, R2 takes its share of the targets' spread."""
        (score,) = processes.sum([self._score])
        rows, against = self._whole
        return Scores(fsum(self._losses) / self.rows, metric_value(self._metric, score, against * self.rows / rows))

    def reset(self) -> None:
        """Begin the next epoch."""
        self._losses.clear()
        self._score, self.rows = 0.0, 0

    def state_dict(self, processes: Processes) -> dict[str, Any]:
        """What was read, for a checkpoint; the score of all processes."""
        (score,) = processes.sum([self._score])
        return {"losses": torch.tensor(self._losses, dtype=torch.float64), "score": score, "rows": self.rows}

    def load_state_dict(self, state: dict[str, Any], processes: Processes) -> None:
        """Go on from there; process 0 takes the score of all."""
        self._losses = state["losses"].tolist()
        self._score = state["score"] if processes.leads else 0.0
        self.rows = state["rows"]


def _read(scalars: list[Tensor]) -> list[float]:
    """Their values; several come from a GPU in one go."""
    found: list[float] = torch.stack(scalars).tolist() if len(scalars) > 1 else [scalar.item() for scalar in scalars]
    return found
