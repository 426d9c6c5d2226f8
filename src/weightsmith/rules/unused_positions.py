"""Position embeddings whose last rows were never trained.

## What it does
Takes each learned table of positions (`position_embeddings`, `wpe`, `pos_embed`; at least 32 rows) and compares
neighboring rows. Where those of the first half point the same way (a median cosine above 0.5, as trained positions do),
it reports the last rows if 8 or more of them do not (cosine with the row before below 0.2 in nine of ten), or are below
a tenth of the median row.

## Why it is bad
The model was trained on shorter inputs than the table suggests. Given a longer one it meets positions at their random
start, and its output degrades without any error.

## Threshold
A cosine of 0.2, at least 8 rows: independent rows of 64 values or more are that close in one case of twenty, and eight
in a row never.

## What to do
Limit the length of inputs to the rows that were trained, or fine-tune on long inputs.

## References
Press, Smith and Lewis (2022), "Train Short, Test Long"; Wang and Chen (2020), "What Do Position Embeddings Learn?".
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

THRESHOLDS = {"trained_cosine": 0.5, "cosine": 0.2, "ratio": 0.1}
LEAST_ROWS = 32
LEAST_UNUSED = 8
MOST_VALUES = 1 << 24
MOSTLY = 0.9
_POSITIONS = re.compile(r"position|(^|[._])(wpe|pos_emb(ed)?)($|[._])")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each table of positions that was used in part."""
    tables = [
        weight
        for weight in subject.each(roles=["embedding"], least_axes=2)
        if _POSITIONS.search(weight.name) and is_float(weight) and weight.size // weight.shape[-1] >= LEAST_ROWS
    ]
    if not tables:
        raise NotCheckedError(f"there is no learned table of {LEAST_ROWS} positions or more")
    for weight in tables:
        if weight.size > MOST_VALUES:
            subject.skip(rule, weight.name, f"over {MOST_VALUES:,} values")
            continue
        if subject.sketch(weight).non_finite:
            subject.skip(rule, weight.name, "holds NaN or infinity")
            continue
        table = weight.read().reshape(-1, weight.shape[-1]).astype(np.float64)
        unused = _unused(rule, subject, table)
        if unused >= LEAST_UNUSED:
            yield rule.finding(
                f"The last {unused} of {len(table)} positions were not trained: they point in unrelated directions "
                "or have "
                "faded, unlike those before.",
                f"Limit inputs to {len(table) - unused} positions, or fine-tune on longer ones.",
                {"unused": unused, "positions": len(table), "cosine_threshold": subject.threshold(rule, "cosine")},
                weight=weight.name,
            )


def _unused(rule: Rule, subject: Subject, table: NDArray[np.float64]) -> int:
    norms = np.linalg.norm(table, axis=1)
    faded = norms < subject.threshold(rule, "ratio") * np.median(norms)
    products = np.sum(table[1:] * table[:-1], axis=1) / np.maximum(norms[1:] * norms[:-1], 1e-300)
    cosine = np.concatenate([[1.0], products])
    if np.median(cosine[1 : len(table) // 2]) > subject.threshold(rule, "trained_cosine"):
        faded |= cosine < subject.threshold(rule, "cosine")
    # From the end on; one row in ten may point the same way as the one before by chance.
    unused = np.cumsum(faded[::-1])
    tail = np.flatnonzero((unused >= MOSTLY * np.arange(1, len(table) + 1)) & faded[::-1])
    return int(tail[-1]) + 1 if tail.size else 0
