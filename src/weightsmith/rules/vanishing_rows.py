"""Units whose incoming weights have nearly died out.

## What it does
Compares the root mean square of each row (unit or filter) of a linear, convolutional or recurrent weight with the
median row, and reports rows below a thousandth of it that are not zero to the last bit.

## Why it is bad
Such a unit passes on next to nothing but its bias. That is what weight decay leaves of units that get no gradient: dead
rectifiers, channels that a norm has switched off. They cost what live units cost.

## Threshold
1/1000 of the median row, of at least 16 rows. model-clinic calls norms below 1e-7 dead whatever the layer's scale. Rows
this small do occur in released models (a text recognizer of convolutions with weight decay has 100 of them): true
findings, and removing the units changes no output.

## What to do
Remove the units and what reads them; to keep them, revive them by drawing their weights again, or lower weight decay.

## References
Lu et al. (2019), "Dying ReLU and Initialization"; Mehta, Kim and Theobalt (2019), "On implicit filter level sparsity in
convolutional neural networks".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, listed, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.starts import starts
from weightsmith.sources import Weight

THRESHOLDS = {"ratio": 1e-3}
LEAST_ROWS = 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with rows that are almost zero."""
    limit = subject.threshold(rule, "ratio")
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_ROWS):
        if weight.shape[weight.info.output_axis] < LEAST_ROWS or _none_can_be_faint(subject, weight, limit):
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        rms = statistics.neurons.rms
        alive = statistics.neurons.squares > 0
        median = float(np.median(rms[alive])) if alive.any() else 0.0
        faint = np.flatnonzero(alive & (rms < limit * median))
        if faint.size:
            yield rule.finding(
                f"{faint.size} of {rms.size} rows {are(faint.size)} almost zero ({listed('row', faint)}): the root "
                f"mean square of the largest of them is {rms[faint].max():.2g}, against {median:.2g} of the median "
                "row.",
                "Remove these units and what reads them, or draw their weights again.",
                {"faint_rows": int(faint.size), "rows": int(rms.size), "median_rms": median, "threshold": limit},
                weight=weight.name,
            )


def _none_can_be_faint(subject: Subject, weight: Weight, limit: float) -> bool:
    """Whether the first values of every row alone are too large for a faint one.

    Of n rows that are not zero at least half have the median's root mean square or more, so its square is at most twice
    the sum of all squares over n.
    """
    seen, sketch = starts(subject, weight), subject.sketch(weight)
    rows = weight.shape[weight.info.output_axis]
    alive = rows - sketch.zeros // max(weight.size // rows, 1)
    if seen is None or not np.isfinite(sketch.sum_of_squares):
        return False
    return seen.least > limit**2 * 2 * sketch.sum_of_squares / max(alive, 1)
