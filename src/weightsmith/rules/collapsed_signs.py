"""Output channels of a binary or ternary weight whose values are all the same.

## What it does
Looks at weights each of whose rows holds one magnitude and takes the entropy of the values of each row of 32 or more: 1
bit where half are positive, 0 where all are alike. Reports rows below 0.05 bits. Rows of zeros are another rule's.

## Why it is bad
Such a unit adds up its inputs (or takes the negative of the sum) and tells nothing about which of them: two of them are
the same unit. It comes from latent weights that were pushed to one side together, by a large bias or a mean of the
inputs that is not zero.

## Threshold
0.05 bits: at most one value in 180 differs from the others. By chance a row of 32 random signs is that uneven once in
some two billion times.

## What to do
Center the inputs of the layer (batch norm before it), center the latent weights, or lower the learning rate.

## References
Qin et al. (2020), "Forward and Backward Information Retention for Accurate Binary Neural Networks", which balances the
signs of each filter to keep their entropy.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.discrete import signs_of
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, listed
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"bits": 0.05}
LEAST_LENGTH = 32


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight with channels of one value."""
    limit = subject.threshold(rule, "bits")
    for weight in float_weights(rule, subject, roles=("linear", "conv", "recurrent"), least_size=LEAST_LENGTH):
        if weight.size // weight.shape[weight.info.output_axis] < LEAST_LENGTH:
            continue
        signs = signs_of(rule, subject, weight)
        if signs is None:
            continue
        found = np.flatnonzero((signs.entropy < limit) & (signs.plus + signs.minus > 0))
        if found.size:
            yield rule.finding(
                f"The values of {found.size} of {len(signs.plus)} rows {are(found.size)} all alike "
                f"({listed('row', found)}).",
                "Center the inputs of the layer or its latent weights, or lower the learning rate.",
                {"collapsed_rows": int(found.size), "rows": len(signs.plus), "bits_threshold": limit},
                weight=weight.name,
            )
