"""Forget gates of an LSTM that stay closed.

## What it does
Takes the biases of the forget gates of each LSTM (PyTorch's `bias_ih` and `bias_hh` together, gates in the order input,
forget, cell, output; the single `bias` of Keras) and reports a layer where at least half of them are below -2.

## Why it is bad
A gate with a bias of -2 keeps 12 % of the state at each step, unless its inputs push it open: after five steps nothing
is left. The layer forgets at once, and gradients do not reach back in time.

## Threshold
Half of the units below -2. A start at 0 keeps half of the state and 1 is advised; in the healthy models that this was
calibrated on medians lie between -0.33 and 0.42, and no gate is below -2.

## What to do
Start the forget biases at 1 (or at the logarithm of the time span that matters); see whether memory is needed at all.

## References
Jozefowicz, Zaremba and Sutskever (2015), "An Empirical Exploration of Recurrent Network Architectures"; Tallec and
Ollivier (2018), "Can recurrent neural networks warp time?".
"""

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

THRESHOLDS = {"bias": -2.0, "share": 0.5}
_TORCH = re.compile(r"(?P<before>.*?)weight_hh(?P<after>(_l\d+)?(_reverse)?)$")
_KERAS = re.compile(r"(?P<before>.*)recurrent_kernel(?P<after>(:0)?)$")
_MOST = 1 << 20


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each LSTM whose forget gates are mostly closed."""
    limit, share = subject.threshold(rule, "bias"), subject.threshold(rule, "share")
    layers = list(_forget_biases(subject))
    if not layers:
        raise NotCheckedError("no LSTM with biases was recognized")
    for name, forget in layers:
        closed = float(np.mean(forget < limit))
        if closed >= share:
            kept = 1 / (1 + np.exp(-float(np.median(forget))))
            yield rule.finding(
                f"{closed:.0%} of its {forget.size} forget gates have a bias below {limit:g}; the median of "
                f"{np.median(forget):.2f} alone keeps {kept:.0%} of the state at each step.",
                "Start the forget biases at 1, and see whether the layer needs memory at all.",
                {
                    "closed": closed,
                    "median": float(np.median(forget)),
                    "bias_threshold": limit,
                    "share_threshold": share,
                },
                weight=name,
            )


def _forget_biases(subject: Subject) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """The name of a bias of each LSTM, and its forget biases in all."""
    source = subject.require_weights()
    for name, weight in source.items():
        for pattern, biases, axis in ((_TORCH, ("bias_ih", "bias_hh"), 0), (_KERAS, ("bias",), 1)):
            match = pattern.match(name)
            if not match or len(weight.shape) != 2 or weight.shape[axis] != 4 * weight.shape[1 - axis]:
                continue
            names = [f"{match['before']}{bias}{match['after']}" for bias in biases]
            found = [source[other] for other in names if other in source]
            gates = 4 * weight.shape[1 - axis]
            if found and gates and all(_usable(subject, bias, gates) for bias in found):
                total = sum(bias.read().astype(np.float64) for bias in found)
                yield found[0].name, np.asarray(total)[gates // 4 : gates // 2]


def _usable(subject: Subject, bias: Weight, gates: int) -> bool:
    return bias.shape == (gates,) and gates <= _MOST and not subject.sketch(bias).non_finite
