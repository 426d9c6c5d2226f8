"""Many units that are copies of each other up to a factor or to noise.

## What it does
Compares 64 evenly spaced rows of each weight with one another (their first 1024 values) and reports a matrix where a
tenth of them or more has another row at a cosine above 0.999. Rows equal to the last bit are counted as well. Layers of
one value alone are another rule's.

## Why it is bad
The layer computes the same thing many times: it is narrower than it looks. In an embedding such tokens cannot be told
apart. Typical causes are a start from a constant plus little noise, and a collapsed representation.

## Threshold
10 % of the rows at a cosine of 0.999, for rows of at least 16 values. Single pairs as close occur in healthy language
models; the most seen in calibration was 8 % of the rows, in a layer with dead channels. Random rows of 16 values are
never that close.

## What to do
Draw the initialization at random with a larger deviation, or merge the units: keep one and add up what they feed.

## References
Srinivas and Babu (2015), "Data-free Parameter Pruning for Deep Neural Networks".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights, is_constant
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.sample import sample

THRESHOLDS = {"cosine": 0.999, "share": 0.1}
LEAST_ROWS = 16
LEAST_INPUTS = 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix many of whose rows point the same way."""
    cosine, share = subject.threshold(rule, "cosine"), subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, least_size=LEAST_ROWS * LEAST_INPUTS):
        rows = weight.shape[weight.info.output_axis]
        if rows < LEAST_ROWS or weight.size // rows < LEAST_INPUTS or is_constant(subject.sketch(weight)):
            continue
        seen = sample(rule, subject, weight)
        if seen is None or seen.rows < LEAST_ROWS:
            continue
        alike = int(np.count_nonzero(seen.closest > cosine))
        if alike >= share * seen.rows:
            yield rule.finding(
                f"{alike} of {seen.rows} sampled rows {'has' if alike == 1 else 'have'} a near-copy among the others "
                f"(cosine above {cosine:g}); rows {seen.pair[0]} and {seen.pair[1]} are closest.",
                "Start from random values of a larger deviation, or merge the units and add up what they feed.",
                {"alike": alike, "sampled": seen.rows, "cosine_threshold": cosine, "share_threshold": share},
                weight=weight.name,
            )
