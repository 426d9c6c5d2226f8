"""Running statistics of batch norm that cannot be right.

## What it does
Reports running variances that are negative, NaN or infinite (an error); that are exactly zero; or that are above 1e8;
and running means more than 1000 standard deviations away from zero.

## Why it is bad
Evaluation divides by the root of the variance: a negative one gives NaN, a zero one multiplies by up to 316 (with the
usual epsilon of 1e-5), a huge one silences the channel. Training does not use these numbers, so nothing shows until the
model is evaluated.

## Threshold
A variance has no business below zero. Zero means that the channel never varied, as dead channels do: networks with
rectifiers before a norm hold some, and their channels put out the norm's shift. Above 1e8 activations exceed 10,000,
next to float16's limit. Means of 1000 deviations leave float16 two digits for all variation.

## What to do
Run the training data through the model in training mode once more, to estimate the statistics anew; remove dead
channels.

## References
Ioffe and Szegedy (2015), "Batch Normalization"; Wu and Johnson (2021), "Rethinking 'Batch' in BatchNorm".
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, listed
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.statistics import Moments, batch_norms

THRESHOLDS = {"largest_variance": 1e8, "deviations": 1000.0}
ADVICE = "Estimate the statistics anew: run training data through the model in training mode."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield the findings of each batch norm."""
    for moments in batch_norms(subject):
        variance = moments.variance.read().astype(np.float64)
        sketch = subject.sketch(moments.variance)
        if sketch.non_finite or sketch.minimum <= 0 or sketch.maximum > subject.threshold(rule, "largest_variance"):
            yield from _variances(rule, subject, moments, variance)
        if moments.mean is not None:
            yield from _means(rule, subject, moments, variance)


def _variances(rule: Rule, subject: Subject, moments: Moments, variance: NDArray[np.float64]) -> Iterator[Finding]:
    limit = subject.threshold(rule, "largest_variance")
    broken = np.flatnonzero(~np.isfinite(variance) | (variance < 0))
    zero = np.flatnonzero(variance == 0)
    huge = np.flatnonzero(np.isfinite(variance) & (variance > limit))
    name, count = moments.variance.name, variance.size
    if broken.size:
        yield rule.finding(
            f"{broken.size} of {count} running variances {are(broken.size)} negative or not finite "
            f"({listed('channel', broken)}, the first is {variance[broken[0]]:.3g}).",
            ADVICE,
            {"broken": int(broken.size), "channels": count},
            weight=name,
        )
    if zero.size:
        yield rule.finding(
            f"{zero.size} of {count} running variances {are(zero.size)} exactly zero "
            f"({listed('channel', zero)}), as if what feeds them never varied.",
            "Remove these channels, or find out why what feeds them is dead.",
            {"zero": int(zero.size), "channels": count},
            weight=name,
            severity="warning",
        )
    if huge.size:
        yield rule.finding(
            f"{huge.size} of {count} running variances exceed {limit:.3g}; the largest is {variance[huge].max():.3g}.",
            ADVICE,
            {"huge": int(huge.size), "channels": count, "largest": float(variance[huge].max()), "threshold": limit},
            weight=name,
            severity="warning",
        )


def _means(rule: Rule, subject: Subject, moments: Moments, variance: NDArray[np.float64]) -> Iterator[Finding]:
    limit = subject.threshold(rule, "deviations")
    assert moments.mean is not None
    mean = moments.mean.read().astype(np.float64)
    usable = np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    distance = np.zeros(mean.size)
    distance[usable] = np.abs(mean[usable]) / np.sqrt(variance[usable])
    far = np.flatnonzero(distance > limit)
    if far.size:
        yield rule.finding(
            f"{far.size} of {mean.size} running means lie over {limit:g} standard deviations from zero ("
            f"{listed('channel', far)}); the furthest is {distance.max():.3g}.",
            ADVICE,
            {"far": int(far.size), "channels": mean.size, "furthest": float(distance.max()), "threshold": limit},
            weight=moments.mean.name,
            severity="warning",
        )
