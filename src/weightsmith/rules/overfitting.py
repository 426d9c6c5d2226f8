"""The model learns its training data by heart: validation turns while training goes on.

## What it does
Judges the recorded training and validation losses of the epochs, as the monitor does while a run trains, and reports
`overfitting` where that is the verdict at the end.

## Why it is bad
From that epoch on every step makes the model worse on data it has not seen.

## Threshold
See the monitor: the validation loss rose above its best while the training loss kept falling (Prechelt's generalization
loss); its numbers are in the evidence.

## What to do
Keep the best checkpoint, stop earlier, add L2, L1 or dropout, use a smaller model, or get more data.

## References
Prechelt (1998), "Early Stopping, But When?".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.verdicts import final_verdict


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding when the run's curves say that it overfits."""
    verdict = final_verdict(subject.require_run())
    if verdict.verdict == "overfitting":
        yield rule.finding(
            verdict.text,
            "Keep the best checkpoint; stop earlier, add L2 or dropout, or use a smaller model.",
            dict(verdict.evidence),
            since=verdict.since,
        )
