"""Units whose incoming weights are the same.

## What it does
Finds groups of rows of a weight matrix (units, or filters of a convolution) that are equal to the last bit and not all
zero. Binary weights with few inputs may repeat by chance, so matrices with fewer than 16 inputs are left out. In a
table of embeddings equal rows are for information (tokens added at one start and never met), and those at its end,
which pad it, are another rule's, as are layers of one value alone.

## Why it is bad
Equal rows with equal biases are one unit computed several times; if the weights they feed are equal too they get the
same gradient and never part.

## Threshold
One pair of equal rows of 16 values or more: two rows drawn at random are never equal.

## What to do
Draw the initialization at random instead of from a constant, or merge the units and add up what they feed.

## References
Goodfellow, Bengio and Courville (2016), "Deep Learning", section 8.4, on breaking symmetry.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.rows import Neurons
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, is_constant, listed, rows_of
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.starts import starts

LEAST_INPUTS = 16
UNITS = "Initialize at random rather than with a constant, or merge the equal units."
TOKENS = "See whether these tokens ever occur: such rows mostly were set to one start and never trained."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix that holds equal rows."""
    for weight in float_weights(rule, subject, least_size=2 * LEAST_INPUTS):
        few_inputs = weight.size // weight.shape[weight.info.output_axis] < LEAST_INPUTS
        if few_inputs or is_constant(subject.sketch(weight)):
            continue
        seen = starts(subject, weight)
        if seen is not None and seen.differ:
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        groups = equal_rows(statistics.neurons)
        table = weight.role == "embedding"
        if table:
            groups = _without_padding(groups, len(statistics.neurons.squares))
        if groups:
            spare, rows = sum(len(group) - 1 for group in groups), len(statistics.neurons.squares)
            count = f"{len(groups)} group{'s' * (len(groups) != 1)}"
            yield rule.finding(
                f"{spare} of {rows} rows {'repeats' if spare == 1 else 'repeat'} another, in {count} "
                f"({listed('row', groups[0])} are equal).",
                TOKENS if table else UNITS,
                {"repeated_rows": spare, "groups": len(groups), "rows": rows},
                weight=weight.name,
                severity="info" if table else "warning",
            )


def _without_padding(groups: list[NDArray[np.int64]], rows: int) -> list[NDArray[np.int64]]:
    """The groups of a table without the equal rows at its end, which pad it and are another rule's."""
    end = np.arange(rows - 1, -1, -1)
    left = []
    for group in groups:
        from_end = group[::-1]
        padding = int(np.argmin(np.append(from_end == end[: len(group)], False)))
        left.append(group[: len(group) - padding])
    return [group for group in left if len(group) > 1]


def equal_rows(neurons: Neurons) -> list[NDArray[np.int64]]:
    """Groups of rows equal to the last bit, in order of their first; neither zero nor with NaN or infinities.

    Rows count as equal where hash, sum, sum of squares and largest magnitude all agree: for rows that differ the chance
    of that is below one in 2**64.
    """
    usable = np.flatnonzero((neurons.zeros < neurons.length) & (neurons.non_finite == 0))
    marks = np.stack(
        [
            neurons.hashes[usable],
            *(values[usable].view(np.uint64) for values in (neurons.sums, neurons.squares, neurons.largest)),
        ],
        axis=1,
    )
    _, group, counts = np.unique(marks, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    order = np.argsort(group, kind="stable")
    found = [usable[members] for members in np.split(order, np.cumsum(counts)[:-1]) if len(members) > 1]
    return sorted(found, key=lambda members: int(members[0]))
