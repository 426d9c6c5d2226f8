"""Batch norm whose running statistics were never updated.

## What it does
Reports a batch norm of two channels or more all of whose running means are exactly zero and all of whose running
variances are exactly one: the values it was created with.

## Why it is bad
In evaluation this norm does nothing but scale and shift, while in training it normalized: the model behaves differently
than it was trained. The usual cause is a model that never ran in training mode, or statistics that were not saved.

## Threshold
All means exactly zero and all variances exactly one. One update in training mode changes both.

## What to do
Run training data through the model in training mode to estimate the statistics, and save the buffers (`state_dict`, not
`parameters`) with the weights.

## References
Ioffe and Szegedy (2015), "Batch Normalization", algorithm 2.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.statistics import batch_norms

LEAST_SIZE = 2


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each batch norm with the statistics that it was created with."""
    for moments in batch_norms(subject):
        if moments.mean is None:
            subject.skip(rule, moments.variance.name, "running means are not beside the variances")
            continue
        variance, mean = subject.sketch(moments.variance), subject.sketch(moments.mean)
        if moments.variance.size < LEAST_SIZE:
            continue
        if mean.zeros == mean.count and variance.minimum == variance.maximum == 1 and not variance.non_finite:
            yield rule.finding(
                f"All {variance.count} running means are exactly zero and all variances exactly one, as when created.",
                "Run training data through the model in training mode, then save its buffers with its weights.",
                {"channels": variance.count},
                weight=moments.variance.name,
            )
