"""The model cannot follow even its training data.

## What it does
Judges the recorded losses of the epochs, as the monitor does while a run trains, and reports `underfitting`: training
and validation loss are both close to what a constant prediction reaches, and no longer fall.

## Why it is bad
More of the same training will not help: the model, its learning rate or its regularization is the limit.

## Threshold
See the monitor; its numbers are in the evidence.

## What to do
Give the model more units or layers, raise the learning rate, weaken the penalties, or train longer if the loss still
falls.

## References
Goodfellow, Bengio and Courville (2016), "Deep Learning", section 5.2.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.verdicts import final_verdict


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding when the run's curves say that it underfits."""
    verdict = final_verdict(subject.require_run())
    if verdict.verdict == "underfitting":
        yield rule.finding(
            verdict.text,
            "Use more units or layers, raise the learning rate, weaken the penalties, or train longer.",
            dict(verdict.evidence),
            since=verdict.since,
        )
