"""A few weights are far larger than all others.

## What it does
Reports a weight matrix whose largest magnitude is at least 100 times the 99th percentile of its nonzero magnitudes, or
whose kurtosis is above 300.

## Why it is bad
A handful of connections decides the output, small changes of their inputs are blown up, and any uniform quantization
spends its levels on them and rounds the rest to zero.

## Threshold
100 times the 99th percentile is weightlens' bound for an extreme spike; a kurtosis of 300 is model-clinic's, chosen
because 40 to 255 occurs in healthy language models.

## What to do
Add L2 or max-norm, lower the learning rate; before quantizing, keep the outlier rows in higher precision.

## References
Dettmers et al. (2022), "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", section 3.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.weight import MATRIX_ROLES

SPIKE = 100.0
KURTOSIS = 300.0
LEAST_SIZE = 256


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with heavy outliers."""
    for weight in subject.require_weights().values():
        if weight.role not in MATRIX_ROLES or weight.size < LEAST_SIZE:
            continue
        sketch = subject.sketch(weight)
        if sketch.finite - sketch.zeros < LEAST_SIZE:
            continue
        largest = max(abs(sketch.minimum), abs(sketch.maximum))
        usual, kurtosis = magnitude_quantile(sketch, 0.99), sketch.kurtosis
        if largest >= SPIKE * usual or kurtosis > KURTOSIS:
            yield rule.finding(
                f"Its largest magnitude is {largest:.3g}, {largest / usual:.0f} times the 99th percentile "
                f"of {usual:.3g}; its kurtosis is {kurtosis:.0f}.",
                "Add L2 or max_norm; before quantizing, keep the rows that hold them in higher precision.",
                {
                    "largest": largest,
                    "p99": usual,
                    "spike_threshold": SPIKE,
                    "kurtosis": kurtosis,
                    "kurtosis_threshold": KURTOSIS,
                },
                weight=weight.name,
            )


def magnitude_quantile(sketch: Sketch, share: float) -> float:
    """The magnitude that `share` of the nonzero finite values do not exceed, within a bin's width."""
    nonzero = sketch.finite - sketch.zeros
    low, high = 0.0, max(abs(sketch.minimum), abs(sketch.maximum))
    for _ in range(60):
        middle = (low + high) / 2
        above = sketch.tail(middle) * sketch.finite
        low, high = (middle, high) if above > (1 - share) * nonzero else (low, middle)
    return float(np.nextafter(high, np.inf))
