"""What a training left: exact zeros, how near the weights are to the optimum of the L1 problem, surviving features."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from weightsmith.explain.question import differentiable
from weightsmith.optim.groups import held_back, named_parameters
from weightsmith.penalties import Feature, Zeros, count_zeros, kkt_residual, rank_features
from weightsmith.sources.module import open_module
from weightsmith.train.batches import bounds
from weightsmith.train.evaluate import BATCH
from weightsmith.train.feed import Feed
from weightsmith.train.objective import Objective
from weightsmith.train.recipe import Recipe

LISTED = 50
"""Features that the run's summary lists; the report in memory has all."""


@dataclass(frozen=True)
class Optimality:
    """How far one weight is from the optimum of the L1 or elastic-net problem over the training rows.

    Attributes:
        name: the weight.
        residual: largest violation of the optimality (KKT) conditions, in units of the gradient
            (`weightsmith.penalties.kkt_residual`).
        relative: the residual as a multiple of the L1 strength; 0.01 is a good optimum.
    """

    name: str
    residual: float
    relative: float


@dataclass(frozen=True)
class WeightReport:
    """The weights after training.

    Attributes:
        zeros: exact zeros of every weight, biases included, as the model uses it (of the weights that are kept).
        optimality: of every weight that L1 holds back, at the last step, where the optimizer stopped; empty without L1.
        features: the inputs by importance, most important first; empty where the first layer does not see them one by
            one.
    """

    zeros: Sequence[Zeros] = ()
    optimality: Sequence[Optimality] = ()
    features: Sequence[Feature] = ()

    @property
    def surviving(self) -> list[Feature]:
        """The features that the first layer still reads."""
        return [feature for feature in self.features if feature.survives]

    def to_json(self) -> dict[str, Any]:
        """What goes into the run's summary."""
        summary: dict[str, Any] = {"zeros": {zeros.name: zeros.share for zeros in self.zeros}}
        if self.optimality:
            summary["kkt_residual"] = {each.name: each.residual for each in self.optimality}
            summary["relative_kkt_residual"] = {each.name: each.relative for each in self.optimality}
        if self.features:
            kept = self.surviving
            summary["features"] = len(self.features)
            summary["surviving_features"] = len(kept)
            summary["top_features"] = [[feature.name, feature.importance] for feature in kept[:LISTED]]
        return summary


def l1_and_l2(recipe: Recipe) -> tuple[float, float]:
    """Strengths of the L1 and L2 parts of the problem that the recipe's optimizer solves.

    Weight decay counts as L2 where it is added to the gradient, not where it is decoupled (`adamw`, `muon`).
    """
    penalties, net = recipe.penalties, recipe.penalties.elastic_net
    decay = 0.0 if recipe.optimizer.name in ("adamw", "muon") else recipe.optimizer.weight_decay or 0.0
    return penalties.l1 + (net.l1 if net else 0.0), penalties.l2 + (net.l2 if net else 0.0) + decay


def measure_optimality(module: nn.Module, feed: Feed, objective: Objective, recipe: Recipe) -> list[Optimality]:
    """Optimality of each weight that L1 holds back; empty without L1.

    Takes one full-batch gradient in evaluation mode (no dropout; batch norm by its running statistics), in float32.
    Gradients of the module are left as they were.
    """
    l1, l2 = l1_and_l2(recipe)
    if l1 == 0:
        return []
    held = held_back([each for each in named_parameters(module) if each.tensor.requires_grad])
    gradients = _full_gradients(module, [each.tensor for each in held], feed, objective)
    residuals = [kkt_residual(each.tensor, gradient, l1, l2) for each, gradient in zip(held, gradients, strict=True)]
    return [Optimality(each.name, found, found / l1) for each, found in zip(held, residuals, strict=True)]


def _full_gradients(module: nn.Module, weights: list[Tensor], feed: Feed, objective: Objective) -> list[Tensor]:
    was_training = module.training
    module.eval()
    with differentiable(module):
        sums = _summed_gradients(module, weights, feed, objective)
    module.train(was_training)
    return sums


def _summed_gradients(module: nn.Module, weights: list[Tensor], feed: Feed, objective: Objective) -> list[Tensor]:
    sums = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
    for start, end in bounds(len(feed), BATCH):
        inputs, targets = feed.batch(torch.arange(start, end))
        loss = objective.loss(module(inputs), targets) / len(feed)
        for total, gradient in zip(sums, torch.autograd.grad(loss, weights, allow_unused=True), strict=True):
            if gradient is not None:
                total += gradient
    return sums


def describe_weights(
    module: nn.Module, input_shape: Sequence[int], names: Sequence[str] | None, optimality: Sequence[Optimality]
) -> WeightReport:
    """The report on a module's weights as they are.

    Args:
        module: the bare module.
        input_shape: of one row.
        names: of the features, where known.
        optimality: measured at the last step.
    """
    weights = {name: torch.from_numpy(weight.read().astype("float32")) for name, weight in open_module(module).items()}
    return WeightReport(count_zeros(weights.items()), optimality, _features(weights, math.prod(input_shape), names))


def _features(weights: Mapping[str, Tensor], inputs: int, names: Sequence[str] | None) -> list[Feature]:
    """The inputs as the first matrix sees them, if it has one column for each."""
    first = next((weight for weight in weights.values() if weight.ndim >= 2), None)
    if first is None or first.ndim != 2 or first.shape[1] != inputs:
        return []
    return rank_features(first, names if names is not None and len(names) == inputs else None)
