"""Weights that are NaN or infinite.

## What it does
Counts the values of each weight that are NaN, +Inf or -Inf, in the file or in the run's latest snapshot and in what was
recorded on the way, and names the first of them.

## Why it is bad
A single NaN makes every output that depends on it NaN. The weights cannot be used.

## Threshold
None: one is too many.

## What to do
Go back to the last snapshot before the step named, lower the learning rate or clip the gradient; with float16, scale
the loss or use bfloat16.

## References
IEEE 754-2019, section 6.2 (NaN propagates through operations).
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

ADVICE = "Return to a snapshot from before, then lower the learning rate or clip the gradient."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight with values that are not finite."""
    began = _first_steps(subject)
    if subject.weights is None and not began and (subject.run is None or not subject.run.weights):
        raise NotCheckedError("neither weights nor a record of them are there")
    reported = set()
    for weight in (subject.weights or {}).values():
        sketch = subject.sketch(weight)
        if sketch.non_finite:
            reported.add(weight.name)
            index = np.unravel_index(sketch.first_non_finite or 0, weight.shape or (1,))
            place = ", ".join(str(int(axis)) for axis in index)
            yield rule.finding(
                f"{sketch.non_finite} of {sketch.count} values are not finite ({sketch.nan} NaN, "
                f"{sketch.positive_infinity} +Inf, {sketch.negative_infinity} -Inf), the first at [{place}].",
                ADVICE,
                {"non_finite": sketch.non_finite, "nan": sketch.nan, "first": place},
                weight=weight.name,
                since=began.get(weight.name),
            )
    for name, step in began.items():
        if name not in reported:
            yield rule.finding(
                f"It held values that are not finite at step {step}.", ADVICE, {"step": step}, weight=name, since=step
            )


def _first_steps(subject: Subject) -> dict[str, int]:
    if subject.run is None:
        return {}
    steps = {}
    for weight in subject.run.weights:
        counts = subject.run.series("non_finite", weight.name)
        broken = np.flatnonzero(counts.values > 0)
        if broken.size:
            steps[weight.name] = int(counts.steps[broken[0]])
    return steps
