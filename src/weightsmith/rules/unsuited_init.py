"""Weights start at a scale that does not suit the activation.

## What it does
Takes the weights as they were at the first step. A layer that starts with all values equal is reported at once. For the
others it predicts by what factor the layers between input and output change the variance of the signal: fan-in times
the variance of the weights, against what the activation that follows needs to keep it (2 for a rectifier, between
1 and 25/9 for tanh, 1 for none). It reports layers whose factors, multiplied over the depth, leave the range of 1/30 to
30. Layers followed by a norm are left out, as their scale does not matter, and so is the output layer.

## Why it is bad
Signals that shrink or grow layer by layer leave the last layers with nothing, or saturated, and the first without
gradients. Equal weights make equal units, which stay equal for ever.

## Threshold
A factor of 30 over the whole depth. He et al. (2015) train 22 layers at a factor of 2 a layer with Xavier where 30
layers stall; PyTorch's own default has 1/6 a rectified layer, so two hidden layers pass and three do not.

## What to do
Use `init: auto`, which chooses for each layer by the activation that follows it, or He for rectifiers and Xavier for
tanh and sigmoid.

## References
He et al. (2015), "Delving Deep into Rectifiers", equations 10 and 14; Glorot and Bengio (2010), equation 16.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.weight import WeightInfo

if TYPE_CHECKING:
    from weightsmith.store import Run

LIMIT = 30.0
ADVICE = "Use init: auto, He for rectifiers, or Xavier for tanh and sigmoid."

# Lowest and highest fan-in times variance that keeps a signal through the activation: He et al. (2015) equation 10 for
# rectifiers, Glorot and Bengio (2010) to PyTorch's gain of 5/3 for tanh and to the slope of 1/4 for sigmoid.
SUITED: dict[str, tuple[float, float]] = {
    "relu": (2.0, 2.0),
    "leaky_relu": (1.9, 2.0),
    "gelu": (2.0, 2.4),
    "silu": (2.0, 2.9),
    "elu": (1.2, 1.6),
    "selu": (1.0, 1.0),
    "tanh": (1.0, 25 / 9),
    "sigmoid": (1.0, 16.0),
    "linear": (1.0, 1.0),
}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each layer of equal weights, then for the worst layer of a depth that does not suit."""
    run = subject.require_run()
    factors: dict[str, float] = {}
    for position, weight in enumerate(run.weights):
        if weight.role not in ("linear", "conv") or weight.size < 2:
            continue
        sketches = run.sketches(weight.name)
        if not sketches or sketches[0][0] > 1:
            continue
        start = sketches[0][1]
        if start.minimum == start.maximum:
            yield rule.finding(
                f"All its {weight.size} values start at {start.minimum:g}, so its units stay equal.",
                ADVICE,
                {"value": start.minimum},
                weight=weight.name,
                since=0,
                severity="error",
            )
        elif weight.activation in SUITED and not _normed(run.weights, position):
            factors[weight.name] = _factor(weight, start)
    if not factors:
        raise NotCheckedError("the start of no layer with a known activation was recorded")
    yield from _over_depth(rule, run, factors)


def _factor(weight: WeightInfo, start: Sketch) -> float:
    fan_in = weight.size / weight.shape[0]
    signal = fan_in * (start.variance + start.mean**2)
    low, high = SUITED[weight.activation or "linear"]
    return signal / min(max(signal, low), high)


def _normed(weights: Sequence[WeightInfo], position: int) -> bool:
    following = [weight for weight in weights[position + 1 :] if weight.role != "bias"][:1]
    return bool(following) and following[0].role == "norm"


def _over_depth(rule: Rule, run: "Run", factors: dict[str, float]) -> Iterator[Finding]:
    last = [weight.name for weight in run.weights if weight.role in ("linear", "conv")][-1]
    hidden = {name: factor for name, factor in factors.items() if name != last}
    total = prod(hidden.values())
    if hidden and not 1 / LIMIT <= total <= LIMIT:
        worst = min(hidden, key=hidden.__getitem__) if total < 1 else max(hidden, key=hidden.__getitem__)
        change = f"shrinks {1 / total:.3g}" if total < 1 else f"grows {total:.3g}"
        yield rule.finding(
            f"From input to output the variance of the signal {change} times over {len(hidden)} layers; "
            f"this layer's factor is {hidden[worst]:.2g}.",
            ADVICE,
            {"factor": total, "layers": len(hidden), "worst_factor": hidden[worst], "threshold": LIMIT},
            weight=worst,
            since=0,
        )
