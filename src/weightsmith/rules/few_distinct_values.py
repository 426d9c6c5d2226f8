"""Quantized values kept in wide floats.

## What it does
Reports weight matrices of 4096 values or more, stored in 16 bits or more, that hold at most 256 distinct values. Binary
and ternary ones, of one magnitude in each row, are WS315's. Weights of packed files, and those that a run trained as
binary, ternary or sparse, are left out.

## Why it is bad
It is no fault of the weights but of the file: 8 bits and a table (or a scale) hold the same values, so it is 2 to 8
times as large as it need be. Where no quantization was meant, it says that one took place: precision is already lost.

## Threshold
256 distinct values: what 8 bits can tell apart. Healthy bfloat16 weights have thousands, since each octave has 128.

## What to do
Store it as integers with a scale.

## References
Nagel et al. (2021), "A White Paper on Neural Network Quantization"; Han, Mao and Dally (2016), "Deep Compression", on
shared weights.
"""

from collections.abc import Iterator
from math import ceil, log2

import numpy as np

from weightsmith.rules.discrete import of_a_kind, signs_of
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.sources import Weight

THRESHOLDS = {"distinct": 256.0}
LEAST_SIZE = 4096
BITS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix of few distinct values."""
    limit = int(subject.threshold(rule, "distinct"))
    weights = [weight for weight in float_weights(rule, subject, least_size=LEAST_SIZE) if weight.dtype in BITS]
    if not weights:
        raise NotCheckedError("no weight matrix is stored in 16 bits or more")
    for weight in weights:
        sketch = subject.sketch(weight)
        if not sketch.finite or sketch.minimum == sketch.maximum:
            continue
        distinct = count_distinct(weight, sketch, limit)
        if distinct is None or of_a_kind(rule, subject, weight):
            continue
        if signs_of(rule, subject, weight) is None:
            bits = max(ceil(log2(distinct)), 1)
            yield rule.finding(
                f"Its {sketch.count} values of {BITS[weight.dtype]} bits are only {distinct} distinct ones, which "
                f"{bits} "
                f"bit{'s' if bits > 1 else ''} would tell apart.",
                "Store it as integers with a scale, or look for a quantization that was not meant.",
                {"distinct": distinct, "bits": bits, "stored_bits": BITS[weight.dtype], "threshold": limit},
                weight=weight.name,
            )


def count_distinct(weight: Weight, sketch: Sketch, limit: int) -> int | None:
    """Number of distinct finite values; None where there are more than `limit`."""
    if sketch.keys.size > limit:  # two bins never hold the same value
        return None
    if sketch.exact:
        return int(sketch.keys.size)
    seen = np.zeros(0)
    for block in weight.blocks():
        finite = block[np.isfinite(block)]
        seen = np.union1d(seen, finite)
        if seen.size > limit:
            return None
    return int(seen.size)
