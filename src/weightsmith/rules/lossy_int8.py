"""Eight bits with one scale would lose too much of this weight.

## What it does
Works out the signal-to-noise ratio of each linear, convolutional and embedding weight after symmetric 8-bit
quantization with a single scale (255 levels up to the largest magnitude), and what a scale for each row would give.
Rounding adds a twelfth of the squared step to values beyond half a step; smaller ones are lost whole.

## Why it is bad
One scale is the default of several runtimes. Below 20 dB the rounding noise is more than a tenth of the weights
themselves, which costs accuracy that retraining has to win back.

## Threshold
20 dB. Gaussian weights give 36 to 41 dB, and so do the middle layers of most models; every doubling of the largest
magnitude takes 6 dB. Released models hold layers below 20 dB: the findings are true, but harm no one who does not
quantize with one scale, hence for information.

## What to do
Quantize with a scale for each row (or group of inputs), or clip the few largest values before.

## References
Bennett (1948), "Spectra of Quantized Signals"; Nagel et al. (2021), "A White Paper on Neural Network Quantization".
"""

from collections.abc import Iterator
from math import log10

import numpy as np

from weightsmith.analysis.rows import RowStatistics
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, largest, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.sketch import Sketch

THRESHOLDS = {"decibels": 20.0}
LEAST_SIZE = 256
LEVELS = 127


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight that one 8-bit scale would spoil."""
    limit = subject.threshold(rule, "decibels")
    for weight in float_weights(rule, subject, roles=("linear", "conv", "embedding"), least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if not sketch.sum_of_squares > 0 or not np.isfinite(sketch.sum_of_squares):
            continue
        found = signal_to_noise(sketch)
        if found >= limit:
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        by_row = _by_row(sketch, statistics)
        yield rule.finding(
            f"Symmetric 8-bit quantization with one scale leaves a signal-to-noise ratio of {found:.1f} dB: the "
            "largest "
            f"magnitude of {largest(sketch):.3g} is {largest(sketch) / sketch.rms:.0f} times the root mean square. A "
            "scale "
            f"for each row would leave about {by_row:.0f} dB.",
            "Quantize with a scale for each row or group, or clip the few largest values.",
            {"decibels": found, "decibels_by_row": by_row, "threshold": limit},
            weight=weight.name,
        )


def signal_to_noise(sketch: Sketch) -> float:
    """Decibels that symmetric 8-bit quantization with one scale leaves; at most 100, for weights that it keeps."""
    step = largest(sketch) / LEVELS
    edges = np.linspace(0.0, step / 2, 17)
    counts = sketch.histogram(edges) + sketch.histogram(-edges[::-1])[::-1]
    middles = (edges[1:] + edges[:-1]) / 2
    counts[0] = max(counts[0] - sketch.zeros, 0.0)
    lost = float((counts * middles**2).sum())
    rounded = sketch.tail(step / 2) * sketch.finite * step**2 / 12
    return min(10 * log10(sketch.sum_of_squares / max(lost + rounded, 1e-300)), 100.0)


def _by_row(sketch: Sketch, statistics: RowStatistics) -> float:
    noise = float(((statistics.neurons.largest / LEVELS) ** 2).sum()) / 12 * statistics.neurons.length
    return min(10 * log10(sketch.sum_of_squares / max(noise, 1e-300)), 100.0)
