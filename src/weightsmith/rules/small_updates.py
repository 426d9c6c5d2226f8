"""Weights hardly change from step to step.

## What it does
Takes the median of the recorded update ratio (norm of the update over norm of the weight) of each weight matrix, the
first tenth of the run left out, and reports it below 1e-5. Weights that nothing trains (frozen) are left alone.

## Why it is bad
At such a pace a weight needs 100,000 steps to change by its own size: the layer stays at its initialization.

## Threshold
1e-5: Karpathy's rule of thumb (Stanford CS231n) is about 1e-3; torchmortem warns below 1e-5.

## What to do
Raise the learning rate, look for vanishing gradients (WS102), or shorten the schedule's long tail.

## References
Karpathy, CS231n notes, "Neural Networks Part 3: Learning and Evaluation", section "Ratio of weights:updates".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.updates import typical_ratios

LIMIT = 1e-5


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each trained matrix whose typical update is next to nothing."""
    for name, ratio in typical_ratios(subject.require_run()).items():
        if 0 < ratio < LIMIT:
            yield rule.finding(
                f"A typical step changes it by {ratio:.2g} of its norm; about 0.001 is usual, {LIMIT:g} too little.",
                "Raise the learning rate, and see whether its gradients vanish (WS102).",
                {"median_update_ratio": ratio, "threshold": LIMIT},
                weight=name,
            )
