"""Units whose incoming weights are the same.

## What it does
Finds groups of rows of a weight matrix (units, or filters of a convolution) that are equal to the last bit and not all
zero. Binary weights with few inputs may repeat by chance, so matrices with fewer than 16 inputs are left out.

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

from weightsmith.analysis import as_matrix, duplicate_rows
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.weight import MATRIX_ROLES

LEAST_INPUTS = 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix that holds equal rows."""
    for weight in subject.require_weights().values():
        if weight.role not in MATRIX_ROLES or len(weight.shape) < 2 or weight.size < 2 * LEAST_INPUTS:
            continue
        matrix = as_matrix(weight.read())
        if matrix.shape[1] < LEAST_INPUTS:
            continue
        groups = [group for group in duplicate_rows(matrix) if matrix[group[0]].any()]
        if groups:
            spare = sum(len(group) - 1 for group in groups)
            first = ", ".join(str(int(row)) for row in groups[0][:5])
            yield rule.finding(
                f"{spare} of {matrix.shape[0]} rows repeat another, in {len(groups)} groups (rows {first} are equal).",
                "Initialize at random rather than with a constant, or merge the equal units.",
                {"repeated_rows": spare, "groups": len(groups), "rows": int(matrix.shape[0])},
                weight=weight.name,
            )
