"""Weights that nearly all have the same sign.

## What it does
Reports linear, convolutional and recurrent weights of 1024 values or more whose mean is further from zero than their
standard deviation.

## Why it is bad
All units then respond to the sum of their inputs before anything else, so their outputs are alike, and the layer's
largest singular value is that of the mean: learning is slow and low precision is spent on a constant. It is what a
start from uniform(0, 1) leaves behind.

## Threshold
One standard deviation; the healthy models that this was calibrated on stay below 0.75. Layers that are kept
non-negative on purpose (a weighting of distances, attention pooling) exceed it and are right to do so, hence for
information.

## What to do
Draw weights around zero. Where only the mean is at fault, subtract it and add its effect to the bias.

## References
LeCun et al. (1998), "Efficient BackProp", sections 4.3 and 4.6; Huang et al. (2017), "Centered Weight Normalization".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"deviations": 1.0}
LEAST_SIZE = 1024


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with a mean beyond its spread."""
    limit = subject.threshold(rule, "deviations")
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if not sketch.finite or sketch.minimum == sketch.maximum or not abs(sketch.mean) > limit * sketch.std:
            continue
        sign = "positive" if sketch.mean > 0 else "negative"
        below = float(sketch.histogram([-np.inf, 0.0]).sum()) if sketch.minimum < 0 else 0.0
        above = sketch.finite - sketch.zeros - below
        share = (above if sketch.mean > 0 else below) / sketch.finite
        yield rule.finding(
            f"Its mean is {sketch.mean:.3g}, {abs(sketch.mean) / sketch.std:.2f} standard deviations from zero; "
            f"{share:.0%} of its values are {sign}.",
            "Draw weights around zero, or subtract the mean and add its effect to the bias.",
            {"mean": sketch.mean, "std": sketch.std, "share_of_one_sign": share, "threshold": limit},
            weight=weight.name,
        )
