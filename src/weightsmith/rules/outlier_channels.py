"""A few rows or columns with values far beyond those of all others.

## What it does
Takes the largest magnitude of every row and every column of each linear and convolutional weight (32 of both or more)
and reports a matrix where at most 1 % of either (but at least one) reach 20 times the median.

## Why it is bad
Quantization with one scale for the matrix has to stretch over these channels, which leaves few levels for all others.
In language models a handful of such channels carries much of the result, so clipping them is no way out.

## Threshold
20 times the median channel. LLM.int8() calls features of activations outliers from a magnitude of 6 on. Released models
do hold such channels: the second matrices of the feed-forward blocks of sentence encoders, at 20 to 56 times the
median, and convolutions into which a skip connection was folded. Those findings are true; hence for information.

## What to do
Quantize by channel, or keep these channels in 16 bits; SmoothQuant and rotations spread them over the others.

## References
Dettmers et al. (2022), "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale"; Xiao et al. (2023),
"SmoothQuant".
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, largest, listed, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sketch import Sketch

THRESHOLDS = {"ratio": 20.0, "share": 0.01}
LEAST_CHANNELS = 32


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with channels far beyond the others, rows before columns."""
    ratio, share = subject.threshold(rule, "ratio"), subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, roles=("linear", "conv"), least_size=LEAST_CHANNELS):
        if _evenly_large(subject.sketch(weight), ratio, weight.size):
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None or min(statistics.neurons.length, statistics.inputs.length) < LEAST_CHANNELS:
            continue
        for kind, tops in (("row", statistics.neurons.largest), ("column", statistics.inputs.largest)):
            found, median = _beyond(tops, ratio, share)
            if found.size:
                yield rule.finding(
                    f"{found.size} of {tops.size} {kind}s {'reaches' if found.size == 1 else 'reach'} "
                    f"{tops.max() / median:.0f} times the median {kind}'s largest magnitude of {median:.3g} "
                    f"({listed(kind, found)}).",
                    "Quantize by channel, or keep these channels in 16 bits.",
                    {
                        "channels": int(found.size),
                        "of": int(tops.size),
                        "ratio": float(tops.max() / median),
                        "ratio_threshold": ratio,
                        "share_threshold": share,
                    },
                    weight=weight.name,
                )


def _beyond(tops: NDArray[np.float64], ratio: float, share: float) -> tuple[NDArray[np.int64], float]:
    """The channels beyond `ratio` times the median of the nonzero ones, unless they are many; and that median."""
    alive = tops[tops > 0]
    median = float(np.median(alive)) if alive.size >= LEAST_CHANNELS else 0.0
    found = np.flatnonzero(tops >= ratio * median) if median > 0 else np.zeros(0, np.int64)
    return (found if found.size <= max(share * tops.size, 1) else found[:0]), median


def _evenly_large(sketch: Sketch, ratio: float, size: int) -> bool:
    """Whether most values exceed the largest magnitude over `ratio`: then most rows and most columns hold such a value.

    Their median is above it too, and nothing can reach `ratio` times that. The margin is for the width of a bin.
    """
    return ratio > 1 and sketch.tail(1.02 * largest(sketch) / ratio) * sketch.finite > size / 2
