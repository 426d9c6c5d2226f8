"""The loss and the metric of each task, as sums over samples, so that batches and processes add up exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from weightsmith.train.recipe.names import Task

Metric = Literal["accuracy", "r2"]


@dataclass(frozen=True)
class Objective:
    """What a training minimizes and how well it is told to have done.

    Attributes:
        task: the task.
        metric: `accuracy` (share of correct predictions) or `r2` (coefficient of determination, over all outputs).
        loss: `(outputs, targets) -> ` sum of the samples' losses, a scalar.
        score: `(outputs, targets) -> ` sum that the metric is made of: correct predictions, or squared errors.
    """

    task: Task
    metric: Metric
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum of cross entropies: outputs (n, classes) are logits, targets int64 (n,)."""
    return F.cross_entropy(outputs, targets, reduction="sum")


def _correct_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(1) == targets).sum()


def _binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum of binary cross entropies: outputs (n,) or (n, 1) are logits, targets 0 or 1 of as many values."""
    flat = outputs.reshape(-1)
    return F.binary_cross_entropy_with_logits(flat, targets.reshape(-1).to(flat.dtype), reduction="sum")


def _correct_signs(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs.reshape(-1) > 0) == (targets.reshape(-1) > 0.5)).sum()


def _mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum over samples of the squared error, averaged over a sample's outputs: (n,) or (n, k)."""
    return _squared_error(outputs, targets) / max(targets[0:1].numel(), 1)


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.reshape(targets.shape) - targets).square().sum()


OBJECTIVES: dict[Task, Objective] = {
    "classification": Objective("classification", "accuracy", _cross_entropy, _correct_classes),
    "binary_classification": Objective("binary_classification", "accuracy", _binary_cross_entropy, _correct_signs),
    "regression": Objective("regression", "r2", _mean_squared_error, _squared_error),
}


def baseline_loss(task: Task, targets: Tensor) -> float:
    """Mean loss of the best constant prediction: the entropy of the classes, or the variance of the targets.

    Args:
        task: the task.
        targets: those of the training rows, as the loss takes them; at least one.
    """
    if task == "regression":
        return float(targets.double().var(dim=0, correction=0).mean())
    shares = torch.bincount(targets.reshape(-1).long()).double() / targets.numel()
    return float(-torch.xlogy(shares, shares).sum())


def spread(task: Task, targets: Tensor) -> float:
    """What the metric is measured against: the number of samples, or the sum of squared deviations from the mean."""
    if task != "regression":
        return float(len(targets))
    return float((targets.double() - targets.double().mean(dim=0)).square().sum())


def metric_value(metric: Metric, score: float, against: float) -> float:
    """The metric from the summed score and `spread`; NaN where there is nothing to compare with."""
    if against <= 0:
        return float("nan")
    return score / against if metric == "accuracy" else 1 - score / against
