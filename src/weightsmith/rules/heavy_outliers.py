"""A few weights are far larger than all others.

## What it does
Reports a weight matrix (256 nonzero values or more) whose largest magnitude is at least 100 times the 99th percentile
of its nonzero magnitudes, and says what its kurtosis is.

## Why it is bad
A handful of connections decides the output, small changes of their inputs are blown up, and any uniform quantization
spends its levels on them and rounds the rest to zero.

## Threshold
100 times the 99th percentile, weightlens' bound for an extreme spike. Kurtosis alone decides nothing: model-clinic's
bound of 300 is passed by sentence encoders (1,600) and by convolutions into which a skip connection was folded
(17,000). The latter reach 150 times the 99th percentile too and are reported: true, and worth knowing before
quantizing.

## What to do
Add L2 or max-norm, lower the learning rate; before quantizing, keep the outlier rows in higher precision.

## References
Dettmers et al. (2022), "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", section 3.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, largest, magnitude_quantile
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"spike": 100.0}
LEAST_SIZE = 256


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with heavy outliers."""
    spike = subject.threshold(rule, "spike")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if sketch.finite - sketch.zeros < LEAST_SIZE:
            continue
        top, usual = largest(sketch), magnitude_quantile(sketch, 0.99)
        if top >= spike * usual:
            kurtosis = sketch.kurtosis
            yield rule.finding(
                f"Its largest magnitude is {top:.3g}, {top / usual:.0f} times the 99th percentile of {usual:.3g}; its "
                f"kurtosis is {kurtosis:.0f}.",
                "Add L2 or max_norm; before quantizing, keep the rows that hold them in higher precision.",
                {
                    "largest": top,
                    "p99": usual,
                    "spike_threshold": spike,
                    "kurtosis": kurtosis,
                },
                weight=weight.name,
            )
