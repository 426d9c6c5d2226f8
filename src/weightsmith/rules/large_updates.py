"""Weights change by too large a part of themselves at each step.

## What it does
Takes the median of the recorded update ratio (norm of the update over norm of the weight) of each weight matrix, the
first tenth of the run left out, and reports it above 0.1.

## Why it is bad
A weight that changes by a tenth of itself a step forgets what it learned ten steps ago: the loss jumps about, or grows.

## Threshold
0.1. Karpathy's rule of thumb (Stanford CS231n) is about 1e-3; a hundred times that is beyond all practice, and
torchmortem uses the same bound.

## What to do
Lower the learning rate by ten, or warm it up; check the scale of the initialization.

## References
Karpathy, CS231n notes, "Neural Networks Part 3: Learning and Evaluation", section "Ratio of weights:updates".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.updates import typical_ratios

LIMIT = 0.1


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix whose typical update is too large a part of it."""
    for name, ratio in typical_ratios(subject.require_run()).items():
        if ratio > LIMIT:
            yield rule.finding(
                f"A typical step changes it by {ratio:.2g} of its norm; about 0.001 is usual, over {LIMIT:g} too much.",
                "Lower the learning rate about tenfold, or warm it up.",
                {"median_update_ratio": ratio, "threshold": LIMIT},
                weight=name,
            )
