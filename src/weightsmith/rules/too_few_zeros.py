"""Zeros that make no file smaller, for there are too few of them.

## What it does
Reports weight matrices of 4096 values or more with at least 0.5 % exact zeros and not more than a bitmask costs: one
bit for each weight, which is 1 in 32 zeros for float32 and 1 in 16 for 16-bit types. Rows of zeros alone are WS203's
and do not count.

## Why it is bad
Every sparse format spends at least one bit (a bitmask) or a column of 16 bits (where few weights are left) on knowing
where the zeros are. Below the break-even the sparse file is the larger one, and the accuracy that the zeros cost has
bought nothing.

## Threshold
1/32 for float32, 1/16 for float16 and bfloat16, 1/64 for float64: the cost of a bitmask over the bits of a value.
Above, the file shrinks; arithmetic gets faster only from some 70 to 90 % zeros on.

## What to do
Prune more, or not at all.

## References
Evci et al. (2020), "Rigging the Lottery: Making All Tickets Winners", appendix B, which counts sparse weights as a
bitmask and values.
"""

from collections.abc import Iterator

from weightsmith.rules.few_distinct_values import BITS
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, rows_of
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"share": 0.005}
LEAST_SIZE = 4096


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with some zeros, but too few."""
    least = subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_SIZE):
        share = subject.sketch(weight).sparsity
        if weight.dtype not in BITS or not least <= share <= 1 / BITS[weight.dtype]:
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        rows = statistics.neurons
        share = float(rows.zeros[rows.zeros < rows.length].sum()) / weight.size
        if share >= least:
            yield rule.finding(
                f"{share:.2%} of its values are zero, and a sparse format pays from {1 / BITS[weight.dtype]:.2%} on.",
                "Prune more, or not at all.",
                {"zeros": share, "break_even": 1 / BITS[weight.dtype], "share_threshold": least},
                weight=weight.name,
            )
