"""Gradients grow to sizes that throw the weights away.

## What it does
Reads the recorded gradient norms: of the whole model and of each weight. It reports a gradient that became NaN or
infinite, and a norm that jumped to more than 100 times its own median up to then (at least 10 measurements, and above
1 in absolute size, so that a model which has nearly converged is left alone).

## Why it is bad
One such step can undo hours of training: the update is as large as the gradient, however good the weights were.

## Threshold
100 times the median. Pascanu, Mikolov and Bengio (2013) clip at half to ten times the average norm, so a jump ten times
beyond that range is no ordinary noise; torchmortem calls a ratio of 100 critical.

## What to do
Clip the gradient norm (`optimizer: {clip_norm: 1.0}`), lower the learning rate, warm it up, or use an
initialization that keeps the variance of the gradients (`init: auto`).

## References
Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

JUMP = 100.0
LEAST_NORM = 1.0
LEAST_MEASUREMENTS = 10
ADVICE = "Clip the gradient norm (clip_norm: 1.0) or lower the learning rate."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for the model, then for each weight whose gradients were not finite."""
    run = subject.require_run()
    norms = run.series("gradient_norm")
    if len(norms.steps) == 0:
        raise NotCheckedError("no gradient norms were recorded")
    yield from _jump(rule, norms.steps, norms.values)
    for weight in run.weights:
        counts = run.series("gradient_non_finite", weight.name)
        broken = np.flatnonzero(counts.values > 0)
        if broken.size:
            step, count = int(counts.steps[broken[0]]), int(counts.values[broken[0]])
            yield rule.finding(
                f"{count} of {weight.size} gradients are NaN or infinite at step {step}.",
                ADVICE,
                {"non_finite": count, "step": step},
                weight=weight.name,
                since=step,
                severity="error",
            )


def _jump(rule: Rule, steps: np.ndarray, values: np.ndarray) -> Iterator[Finding]:
    for position in range(LEAST_MEASUREMENTS, len(values)):
        value, usual = float(values[position]), float(np.median(values[:position]))
        if np.isfinite(value) and value > max(JUMP * usual, LEAST_NORM):
            step = int(steps[position])
            yield rule.finding(
                f"The gradient norm jumped to {value:.3g} at step {step}, {value / usual:.0f} times its "
                f"median of {usual:.3g}.",
                ADVICE,
                {"gradient_norm": value, "median": usual, "threshold": JUMP},
                since=step,
            )
            return
