"""A recurrent matrix that multiplies its state beyond bounds.

## What it does
Works out the spectral radius (the largest magnitude of an eigenvalue) of the square hidden-to-hidden matrix of each
plain recurrent layer and reports one above 3. Gated layers (LSTM, GRU) are left out, as their gates bound the state.

## Why it is bad
Over t steps gradients grow as the radius to the power of t wherever the activation is not saturated, and where it is
they vanish: at 3, ten steps make 59,049. Small differences of the input decide everything later on.

## Threshold
3. Above 1 gradients can explode, but saturation of tanh holds trained networks somewhat above it in balance. No
released model with a plain recurrent layer was at hand to calibrate this.

## What to do
Start from an orthogonal matrix, clip gradients, or penalize the norm of the matrix; use a gated layer.

## References
Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", section 2.1; Saxe,
McClelland and Ganguli (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
"""

import re
from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

THRESHOLDS = {"radius": 3.0}
MOST_UNITS = 1024
_HIDDEN = re.compile(r"(^|[._/])(weight_hh|recurrent_kernel)")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each plain recurrent layer of too large a radius."""
    limit = subject.threshold(rule, "radius")
    hidden = [w for w in subject.each(roles=["recurrent"], least_axes=2) if _HIDDEN.search(w.name) and is_float(w)]
    plain = [weight for weight in hidden if len(weight.shape) == 2 and weight.shape[0] == weight.shape[1]]
    if not plain:
        raise NotCheckedError("there is no plain recurrent layer" + (" (only gated ones)" if hidden else ""))
    for weight in plain:
        if weight.shape[0] > MOST_UNITS:
            subject.skip(rule, weight.name, f"over {MOST_UNITS} units")
            continue
        if subject.sketch(weight).non_finite:
            subject.skip(rule, weight.name, "holds NaN or infinity")
            continue
        radius = float(np.abs(np.linalg.eigvals(weight.read().astype(np.float64))).max(initial=0.0))
        if radius > limit:
            yield rule.finding(
                f"The spectral radius of its {weight.shape[0]} x {weight.shape[0]} matrix is {radius:.3g}: ten steps "
                "can "
                f"multiply a gradient by {radius**10:.2g}.",
                "Start from an orthogonal matrix and clip gradients, or use a gated layer.",
                {"radius": radius, "threshold": limit, "units": weight.shape[0]},
                weight=weight.name,
            )
