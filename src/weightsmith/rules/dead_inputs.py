"""Inputs that no unit of a layer listens to.

## What it does
Counts the columns of each linear, convolutional and recurrent weight (inputs, or whole input channels of a convolution)
that are zero to the last bit in every row. Layers of zeros alone are another rule's.

## Why it is bad
What arrives there is thrown away, and so is the work of the units that compute it. For a first layer it means a feature
of the data that was constant or masked during training.

## Threshold
One column; exact zeros only.

## What to do
Remove the input and the unit that feeds it. Where nothing was pruned on purpose, look for a feature that is always
zero.

## References
Li et al. (2017), "Pruning Filters for Efficient ConvNets", on removing a filter together with the next layer's channel.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, listed, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sources import Weight

LEAST_ROWS = 2


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with inputs that nothing reads."""
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=2):
        sketch = subject.sketch(weight)
        if sketch.zeros == sketch.count or sketch.zeros < weight.shape[weight.info.output_axis]:
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None or statistics.inputs.length < LEAST_ROWS:
            continue
        dead = by_channel(weight, statistics.inputs.zeros == statistics.inputs.length).all(axis=1)
        found = np.flatnonzero(dead)
        if found.size:
            yield rule.finding(
                f"{found.size} of {dead.size} inputs {are(found.size)} multiplied by zero in every row "
                f"({listed('input', found)}).",
                "Remove these inputs and the units that feed them, or find out why the feature is always zero.",
                {"dead_inputs": int(found.size), "inputs": int(dead.size)},
                weight=weight.name,
            )


def by_channel(weight: Weight, numbers: NDArray[Any]) -> NDArray[Any]:
    """Numbers of each input, as `RowStatistics` counts inputs, by channel: `[channels, positions]`."""
    if weight.role != "conv" or len(weight.shape) < 3:
        return numbers.reshape(-1, 1)
    # Channels lie beside the filters in Keras (height, width, channels, filters), else at one of the first two axes.
    last = weight.info.output_axis % len(weight.shape) == len(weight.shape) - 1
    channels = weight.shape[-2] if last else weight.shape[1 if weight.info.output_axis == 0 else 0]
    return numbers.reshape(-1, channels).T if last else numbers.reshape(channels, -1)
