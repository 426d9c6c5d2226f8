"""Tokens whose embeddings were hardly ever trained.

## What it does
Compares the root mean square of each row of an embedding (at least 100 rows) with the median row, and reports rows
below a tenth of it; rows of zeros are counted beyond the first, which pads.

## Why it is bad
Tokens that never occur in training keep their start, or fade under weight decay. When one is met in use the model
answers at random: such "glitch tokens" are a known way to derail language models.

## Threshold
A tenth of the median row: the smallest of 30,522 rows of all-MiniLM-L6-v2 has 0.22 of it. Land and Bartolo take the
lowest 2 % of the norms as candidates, whatever their size, and then test each on the model.

## What to do
Remove these tokens from the tokenizer, or set their rows to the mean row; see that the tokenizer and the model belong
together.

## References
Land and Bartolo (2024), "Fishing for Magikarp: Automatically Detecting Under-trained Tokens in Large Language Models".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, listed, rows_of
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"ratio": 0.1}
LEAST_ROWS = 100


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each embedding with rows far smaller than the others."""
    ratio = subject.threshold(rule, "ratio")
    for weight in float_weights(rule, subject, roles=["embedding"], least_size=LEAST_ROWS):
        statistics = rows_of(rule, subject, weight)
        if statistics is None or len(statistics.neurons.squares) < LEAST_ROWS:
            continue
        rms = statistics.neurons.rms
        median = float(np.median(rms))
        faint = np.flatnonzero(rms < ratio * median)
        zero = int(np.count_nonzero(rms == 0))
        if faint.size > min(zero, 1):
            yield rule.finding(
                f"{faint.size} of {rms.size} rows {'has' if faint.size == 1 else 'have'} less than {ratio:g} of the "
                f"median row's root mean square of {median:.3g} "
                f"({listed('row', faint)}); {zero or 'none'} of them {are(zero)} zero.",
                "Remove these tokens or set their rows to the mean row; see that tokenizer and model belong together.",
                {
                    "faint_rows": int(faint.size),
                    "zero_rows": zero,
                    "rows": int(rms.size),
                    "median_rms": median,
                    "threshold": ratio,
                },
                weight=weight.name,
            )
