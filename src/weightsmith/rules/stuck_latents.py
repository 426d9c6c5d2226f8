"""Latent weights stand at their bound, and the steps keep them there.

## What it does
Takes the share of latent weights that are at -1 or +1 before a step and at or beyond it afterwards (series `stuck`)
over the last tenth of the recorded steps and reports a median above 90 %.

## Why it is bad
Clipped latent weights are to stay where the gradient passes. Once nearly all of them stand at the bound, only a long
row of steps in the other direction flips a value: the layer has stopped learning, whatever the loss says.

## Threshold
90 %. Binary training drives some latent weights to the bound, which is how it becomes certain (Courbariaux et al. 2015,
on the weights' histograms): of the trainings that WS301 names, 11 % at a rate of 0.1 and none at 0.001.

## What to do
Lower the learning rate, or bring latent weights back with weight decay on them.

## References
Courbariaux, Bengio and David (2015), "BinaryConnect: Training Deep Neural Networks with binary weights during
propagations".
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import at_end, recorded
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"share": 0.9}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight most of whose latent values are stuck."""
    limit = subject.threshold(rule, "share")
    for name, series in recorded(subject.require_run(), "stuck", "binary or ternary"):
        share = at_end(series)
        if share > limit:
            yield rule.finding(
                f"At the end {share:.1%} of its latent values stand at -1 or +1 and are kept there.",
                "Lower the learning rate, or decay the latent weights.",
                {"stuck": share, "threshold": limit},
                weight=name,
            )
