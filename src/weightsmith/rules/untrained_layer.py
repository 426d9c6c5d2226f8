"""A layer still at its initial distribution.

## What it does
Compares each weight matrix of 1024 values or more (16,384 for normal distributions) with those that PyTorch, Keras and
JAX draw weights from (uniform and normal by Glorot, He and LeCun, PyTorch's defaults, 0.02 as in GPT and BERT). It
reports a match: a standard deviation within sampling error, a Kolmogorov-Smirnov distance that chance explains, a
largest magnitude within the bound (and close to it, for a uniform one), and rows of equal norm up to chance.

## Why it is bad
Training moves weights beyond those bounds and makes rows differ, so this layer was never trained: it was frozen, left
out of the optimizer, or not loaded and so drawn afresh. A fine-tuned model whose head says this has no trained head.

## Threshold
A Kolmogorov-Smirnov distance below 1.63 / sqrt(n), which a true match exceeds in 1 % of cases; four standard errors for
the deviation and for the spread of row norms.

## What to do
See whether the layer's parameters are in the optimizer and in the checkpoint's names (a message on missing keys when it
was loaded says the same). For a freshly built model the finding is as it should be.

## References
Massey (1951), "The Kolmogorov-Smirnov Test for Goodness of Fit"; Glorot and Bengio (2010); He et al. (2015), "Delving
Deep into Rectifiers".
"""

from collections.abc import Iterator
from math import sqrt

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.initial import Initial, usual_starts
from weightsmith.rules.matrices import float_weights, largest, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.sources import Weight

THRESHOLDS = {"distance": 1.63, "errors": 4.0}
LEAST_SIZE = 1024
LEAST_NORMAL = 16384
"""Fewer values cannot tell which normal distribution they are from; a uniform one shows by its sharp bound."""

_BINS = 128
_ROUNDED = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Relative rounding of narrow types, by which a value may exceed the bound that it was drawn within."""


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix that cannot be told from a fresh one."""
    distance, errors = subject.threshold(rule, "distance"), subject.threshold(rule, "errors")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if sketch.non_finite or sketch.minimum == sketch.maximum:
            continue
        start = next((s for s in usual_starts(weight.info) if _agrees(sketch, s, weight.dtype, errors)), None)
        if start is None:
            continue
        found = ks_distance(sketch, start)
        limit = distance / sqrt(sketch.count) + _ROUNDED.get(weight.dtype, 0.0)
        if found < limit and _rows_agree(rule, subject, weight, errors):
            yield rule.finding(
                f"Its {sketch.count} values are distributed as {start.name} draws them: standard deviation "
                f"{sketch.std:.4g} against {start.std:.4g}, Kolmogorov-Smirnov distance {found:.2g} (chance: "
                f"{limit:.2g}).",
                "See whether the layer was frozen, left out of the optimizer, or not loaded.",
                {"std": sketch.std, "initial_std": start.std, "distance": found, "distance_threshold": limit},
                weight=weight.name,
            )


def _agrees(sketch: Sketch, start: Initial, dtype: str, errors: float) -> bool:
    """Whether deviation, mean and extremes fit a distribution."""
    rounded = 1 + _ROUNDED.get(dtype, 1e-6)
    top = largest(sketch)
    if start.bound > 2 * start.std and sketch.count < LEAST_NORMAL:
        return False
    if top > start.bound * rounded:
        return False
    # The largest of n uniform values stays 1/n below the bound on average, and beyond 14/n once in a million.
    if start.bound <= 2 * start.std and top < start.bound * (1 - 14 / sketch.count) / rounded:
        return False
    slack = errors / sqrt(2 * sketch.count) + rounded - 1
    return (
        abs(sketch.std / start.std - 1) < slack and abs(sketch.mean) < errors * start.std / sqrt(sketch.count) + 1e-12
    )


def ks_distance(sketch: Sketch, start: Initial) -> float:
    """Largest distance of the two distribution functions at the boundaries of the sketch's bins."""
    edges = sketch.edges(_BINS)
    share = np.cumsum(sketch.histogram(edges)) / sketch.finite
    return float(np.abs(share - start.below(edges[1:])).max())


def _rows_agree(rule: Rule, subject: Subject, weight: Weight, errors: float) -> bool:
    """Whether the spread of the rows' mean squares is that of independent values."""
    statistics = rows_of(rule, subject, weight)
    if statistics is None:
        return False
    neurons = statistics.neurons
    count = len(neurons.squares)
    if count < 2 or neurons.length < 2:
        return True
    sketch = subject.sketch(weight)
    # The variance of a mean of c squares is (kurtosis + 2) / c times the squared variance.
    expected = (sketch.kurtosis + 2) * sketch.variance**2 / neurons.length
    spread = float(np.var(neurons.squares / neurons.length))
    return abs(spread / expected - 1) < errors * sqrt(2 / (count - 1)) + 0.02
