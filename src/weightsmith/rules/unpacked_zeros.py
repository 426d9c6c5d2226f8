"""Mostly zeros, stored one by one.

## What it does
Reports weight matrices of 4096 values or more, stored in 16 bits or more, at least half of whose values are exactly
zero, with the bytes of the smaller of two sparse formats: a bitmask with the other values, or their columns in 16 bits.

## Why it is bad
It is no fault of the weights but of the file: pruned as they are, they still take all their bytes on disk and in
memory, and each zero is multiplied. A dense file with a mask beside it is larger still.

## Threshold
Half: from there on the file shrinks by 1.8 and more. Fewer zeros make it smaller too (see WS314), but no layer faster.

## What to do
Pack it: `weightsmith pack model.safetensors`, or `weightsmith.kinds.pack(model)` for a live model.

## References
Evci et al. (2020), "Rigging the Lottery: Making All Tickets Winners", appendix B; Zhu and Gupta (2017), "To prune, or
not to prune: exploring the efficacy of pruning for model compression", on the cost of masks.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.few_distinct_values import BITS
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"share": 0.5}
LEAST_SIZE = 4096
MOST_COLUMNS = 1 << 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each sparse matrix that is stored dense."""
    least = subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if weight.dtype in BITS and least <= sketch.sparsity < 1:
            rows = weight.shape[weight.info.output_axis]
            packed = packed_bytes(rows, weight.size // rows, weight.size - sketch.zeros, BITS[weight.dtype] // 8)
            yield rule.finding(
                f"{sketch.sparsity:.1%} of its values are zero and take part in {weight.nbytes} bytes; "
                f"packed it is {packed}, 1/{weight.nbytes / packed:.1f} of that.",
                "Pack it with weightsmith pack.",
                {
                    "zeros": sketch.sparsity,
                    "share_threshold": least,
                    "bytes": weight.nbytes,
                    "packed_bytes": packed,
                },
                weight=weight.name,
            )


def packed_bytes(rows: int, columns: int, nonzero: int, width: int) -> int:
    """Bytes of a sparse matrix in the smaller of a bitmask and 16-bit columns, with values of `width` bytes."""
    bitmask = rows * -(-columns // 8) + nonzero * width
    compressed = np.min_scalar_type(nonzero).itemsize * (rows + 1) + nonzero * (2 + width)
    return bitmask if columns > MOST_COLUMNS else min(bitmask, compressed)
