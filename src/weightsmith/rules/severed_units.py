"""Weights that were kept although a mask cut off all ways to or from their unit.

## What it does
Compares layers that follow each other, both at least half zeros, the second taking in as many channels as the first
puts out. Counts units that have incoming weights and no outgoing one, or outgoing weights and no incoming one, and
reports where more than 1 % of the kept weights of both layers belong to them.

## Why it is bad
What is computed for a unit that nobody reads is thrown away, and what reads a unit without inputs reads its bias: those
weights cost bytes and time and could have been spent elsewhere. Masks drawn without regard to each other do that as
soon as a unit has few connections left.

## Threshold
1 % of the kept weights. Random masks of the same density on both sides, 300 by 100 units, cut off fewer as long as each
unit keeps five connections.

## What to do
Remove these units with all their weights: the outputs change by a constant at most, which the biases take up. For
layers whose outputs go elsewhere as well (skip connections) let the finding pass.

## References
Lasby et al. (2024), "Dynamic Sparse Training with Structured Sparsity", on neurons that sparse training ablates.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.rows import RowStatistics
from weightsmith.rules.dead_inputs import by_channel
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, rows_of
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

THRESHOLDS = {"share": 0.01}
LEAST_SIZE = 64
LEAST_SPARSITY = 0.5


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each pair of layers with many weights of units that are cut off."""
    limit = subject.threshold(rule, "share")
    weights = float_weights(rule, subject, roles=("linear", "conv"), least_size=LEAST_SIZE)
    pairs = [pair for pair in pairwise(weights) if all(_sparse(subject, weight) for weight in pair)]
    if not pairs:
        raise NotCheckedError("no two layers that follow each other are at least half zeros")
    for first, second in pairs:
        statistics, following = rows_of(rule, subject, first), rows_of(rule, subject, second)
        if statistics is None or following is None:
            continue
        incoming = statistics.neurons.length - statistics.neurons.zeros
        outgoing = _outgoing(second, following, len(incoming))
        if outgoing is None:
            continue
        wasted = int(incoming[outgoing == 0].sum() + outgoing[incoming == 0].sum())
        kept = int(incoming.sum() + outgoing.sum())
        units = int(np.count_nonzero((incoming == 0) != (outgoing == 0)))
        if kept and wasted > limit * kept:
            yield rule.finding(
                f"{units} of its {len(incoming)} units {are(units)} cut off on one side: {wasted} of the {kept} "
                f"weights kept here and in {second.name} do nothing.",
                "Remove these units with all their weights; their constants go into the biases that follow.",
                {"wasted_share": wasted / kept, "threshold": limit, "wasted": wasted, "units": units},
                weight=first.name,
            )


def _sparse(subject: Subject, weight: Weight) -> bool:
    return LEAST_SPARSITY <= subject.sketch(weight).sparsity < 1


def _outgoing(weight: Weight, statistics: RowStatistics, units: int) -> NDArray[np.int64] | None:
    """Weights that read each of so many units; None where the layer takes in another number of channels."""
    read = by_channel(weight, statistics.inputs.length - statistics.inputs.zeros).sum(axis=1)
    if len(read) % units or (weight.info.role == "conv" and len(read) != units):
        return None
    return np.asarray(read.reshape(units, -1).sum(axis=1))  # a flattened image has several inputs for each channel
