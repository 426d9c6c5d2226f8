"""An embedding that ends in many equal rows.

## What it does
Counts the rows at the end of each embedding (at least 32 rows) that equal the last row to the last bit, and reports two
or more.

## Why it is bad
Nothing is wrong with the model, but these rows stand for no token: the table was padded to a round size, or resized and
not trained on. Tools that trust the number of rows count too many tokens, and sampling may hit one of them.

## Threshold
Two rows. Models round their vocabulary up to a multiple of 64 or 128, which makes matrix products faster; hence for
information.

## What to do
Take the size of the vocabulary from the tokenizer; mask the spare rows in the output layer, or cut them off.

## References
Shoeybi et al. (2019), "Megatron-LM", section 3, on padding the vocabulary to a multiple of 128.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, rows_of
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"rows": 2.0}
LEAST_ROWS = 32


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each embedding with equal rows at its end."""
    least = int(subject.threshold(rule, "rows"))
    for weight in float_weights(rule, subject, roles=["embedding"], least_size=LEAST_ROWS):
        statistics = rows_of(rule, subject, weight)
        if statistics is None or len(statistics.neurons.hashes) < LEAST_ROWS or statistics.neurons.length < 2:
            continue
        hashes, squares = statistics.neurons.hashes, statistics.neurons.squares
        other = np.flatnonzero((hashes != hashes[-1]) | (squares != squares[-1]))
        spare = len(hashes) - 1 - (int(other[-1]) if other.size else -1)
        if least <= spare < len(hashes):
            size = float(statistics.neurons.rms[-1])
            kind = "zero" if size == 0 else f"equal, with a root mean square of {size:.3g}"
            yield rule.finding(
                f"Its last {spare} of {len(hashes)} rows are {kind}: they stand for no token.",
                "Take the size of the vocabulary from the tokenizer, and mask these rows in the output.",
                {"spare_rows": spare, "rows": len(hashes), "threshold": least},
                weight=weight.name,
            )
