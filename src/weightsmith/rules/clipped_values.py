"""Many values lie exactly at the limit.

## What it does
Counts the values of each weight matrix that equal its largest or its smallest one to the last bit, and reports a matrix
where these are at least 1 % (and 32), unless it has so few distinct values that it was quantized. A limit of zero is
left out: keeping weights non-negative is meant. So are weights of packed files, and those that a run trained as binary,
ternary or sparse: latent weights are kept within a bound.

## Why it is bad
The weights were cut off, by weight clipping in training or by a conversion with too small a range. What lay beyond is
lost, and these weights can no longer differ.

## Threshold
1 %. Of values drawn from a continuous distribution one equals the largest, and a few in bfloat16.

## What to do
Widen the range or clip gradients instead of weights; calibrate the range of the conversion on percentiles further out.

## References
Arjovsky, Chintala and Bottou (2017), "Wasserstein GAN", and Gulrajani et al. (2017), section 3, on what weight clipping
does.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.kernels.layout import values
from weightsmith.rules.discrete import of_a_kind
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.sources import Weight

THRESHOLDS = {"share": 0.01}
LEAST_SIZE = 256
LEAST = 32
QUANTIZED = 64
"""Occupied bins of the sketch below which values are levels rather than clipped."""


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix that was clipped."""
    limit = subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if not sketch.finite or sketch.minimum == sketch.maximum or sketch.keys.size < QUANTIZED:
            continue
        least = max(limit * sketch.finite, LEAST)
        low, high = _at_ends(sketch)
        if low + high < least:
            continue
        if not sketch.exact:  # the ends of the sketch then hold neighboring values as well
            low, high = _counted(weight, sketch)
        if low + high >= least and max(low, high) < sketch.finite / 2 and not of_a_kind(rule, subject, weight):
            yield rule.finding(
                f"{low + high} of {sketch.count} values ({(low + high) / sketch.count:.1%}) lie exactly at the limits: "
                f"{low} at {sketch.minimum:.6g} and {high} at {sketch.maximum:.6g}.",
                "Clip gradients instead of weights, or widen the range of the conversion.",
                {"at_minimum": low, "at_maximum": high, "values": sketch.count, "threshold": limit},
                weight=weight.name,
            )


def _at_ends(sketch: Sketch) -> tuple[int, int]:
    """Numbers of values in the sketch's lowest and highest bin; an end at zero is a sign kept on purpose."""
    numbers = values(sketch.layout, sketch.keys)
    low, high = int(sketch.counts[np.argmin(numbers)]), int(sketch.counts[np.argmax(numbers)])
    return low * (sketch.minimum != 0), high * (sketch.maximum != 0)


def _counted(weight: Weight, sketch: Sketch) -> tuple[int, int]:
    """Numbers of values equal to the smallest and to the largest."""
    low = high = 0
    for block in weight.blocks():
        low += int((block == sketch.minimum).sum())
        high += int((block == sketch.maximum).sum())
    return low * (sketch.minimum != 0), high * (sketch.maximum != 0)
