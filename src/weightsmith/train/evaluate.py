"""Measuring a model on one split of the data."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from weightsmith.train.batches import bounds
from weightsmith.train.feed import Feed
from weightsmith.train.objective import Objective, metric_value, spread
from weightsmith.train.processes import Processes

BATCH = 1024
"""Rows measured at once, where the training batch is not larger: no gradients are kept, so more fit."""


@dataclass(frozen=True)
class Scores:
    """How well a model does on a split.

    Attributes:
        loss: mean loss over its rows; NaN for an empty split.
        metric: accuracy or R2; NaN for an empty split.
    """

    loss: float
    metric: float


class Measured:
    """One split made ready to be measured again and again: what never changes is worked out once.

    Args:
        split: the rows.
        objective: the loss and metric.
        processes: each measures a part of the rows.
        batch_size: that of the training.
    """

    def __init__(self, split: Feed, objective: Objective, processes: Processes, batch_size: int) -> None:
        self._split = split
        self._objective = objective
        self._processes = processes
        self._against = spread(objective.task, split.targets) if len(split) else 0.0
        rows = torch.arange(processes.rank, len(split), processes.count, dtype=torch.int64, device=split.home)
        self._batches = [rows[start:end] for start, end in bounds(len(rows), max(batch_size, BATCH))]

    def scores(self, module: nn.Module, autocast: AbstractContextManager[None]) -> Scores:
        """Loss and metric of a module, which is switched to evaluation for it and back; gradients stay untouched.

        Args:
            module: the bare module; beneath DDP, so that processes need not have equally many rows.
            autocast: the precision of the forward pass.
        """
        was_training = module.training
        module.eval()
        loss, score = self._sums(module, autocast)
        module.train(was_training)
        loss, score = self._processes.sum([loss, score])
        rows = len(self._split)
        return Scores(loss / rows if rows else float("nan"), metric_value(self._objective.metric, score, self._against))

    def _sums(self, module: nn.Module, autocast: AbstractContextManager[None]) -> tuple[float, float]:
        losses, scores = [], []
        with torch.no_grad(), autocast:
            for rows in self._batches:
                inputs, targets = self._split.batch(rows)
                outputs = module(inputs).float()
                losses.append(self._objective.loss(outputs, targets).double())
                scores.append(self._objective.score(outputs, targets).double())
        if not losses:
            return 0.0, 0.0
        return float(torch.stack(losses).sum()), float(torch.stack(scores).sum())
