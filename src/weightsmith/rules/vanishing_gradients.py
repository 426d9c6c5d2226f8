"""Gradients fade on the way back, so the early layers do not learn.

## What it does
Compares the gradient per element (root mean square) of each weight matrix with that of the last one, at the median of
the recorded steps, and reports a layer whose gradient is more than 1000 times smaller, or below 1e-7 in itself.

## Why it is bad
Layers that get no gradient stay what their initialization made them; the network is as shallow as what does learn.

## Threshold
A ratio of 1000, and 1e-7: the second is the default of Amazon SageMaker Debugger's VanishingGradient rule; torchmortem
calls a ratio of 1000 between layers critical.

## What to do
Replace sigmoid or tanh by a rectifier, initialize for the activation (`init: auto`), add batch norm or skip
connections.

## References
Hochreiter (1991), "Untersuchungen zu dynamischen neuronalen Netzen"; Glorot and Bengio (2010), "Understanding the
difficulty of training deep feedforward neural networks".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.weight import MATRIX_ROLES

RATIO = 1000.0
FLOOR = 1e-7
ADVICE = "Use a rectifier instead of sigmoid or tanh, initialize for the activation (init: auto), or add batch norm."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix whose gradient is far below that of the last one."""
    run = subject.require_run()
    typical: dict[str, float] = {}
    for weight in run.weights:
        norms = run.series("gradient_norm", weight.name).values
        finite = norms[np.isfinite(norms)]
        if weight.role in MATRIX_ROLES and finite.size and weight.size:
            typical[weight.name] = float(np.median(finite)) / weight.size**0.5
    if not typical:
        raise NotCheckedError("no gradient norms of weights were recorded")
    last = list(typical.values())[-1]
    for name, size in typical.items():
        if size < FLOOR and last < FLOOR:
            text = f"The gradient per element is {size:.2g}, under {FLOOR:g}."
        elif size * RATIO < last:
            ratio = f"{last / size:.0f} times" if size > 0 else "infinitely"
            text = f"The gradient per element is {size:.2g}, {ratio} smaller than the last layer's {last:.2g}."
        else:
            continue
        yield rule.finding(
            text, ADVICE, {"gradient_rms": size, "last_layer_rms": last, "ratio_threshold": RATIO}, weight=name
        )
