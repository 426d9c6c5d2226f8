"""Channels that a norm multiplies by almost nothing.

## What it does
Compares the magnitude of each scale of a norm (at least 16 channels) with the median and reports those below a
thousandth of it, exact zeros included.

## Why it is bad
The channel puts out its shift whatever comes in: everything that computes it is wasted. Weight decay on scales does
that to channels of no use, and so does pruning by scale.

## Threshold
1/1000 of the median magnitude. Released models do hold such channels (3 of 384 in the last norm of all-MiniLM-L6-v2):
they are true, and harmless to accuracy, hence for information. A scale that starts at zero on purpose (the last norm of
each residual block) leaves zero with the first updates.

## What to do
Remove the channels (add their shift to the next layer's bias) for a smaller model of the same outputs, or exempt scales
from weight decay.

## References
Liu et al. (2017), "Learning Efficient Convolutional Networks through Network Slimming"; Mehta, Kim and Theobalt (2019),
"On implicit filter level sparsity in convolutional neural networks".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import are, float_weights, listed
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.statistics import MOST_CHANNELS

THRESHOLDS = {"ratio": 1e-3}
LEAST_SIZE = 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each norm that switches channels off."""
    ratio = subject.threshold(rule, "ratio")
    for weight in float_weights(rule, subject, roles=["norm"], least_size=LEAST_SIZE, least_axes=1):
        if weight.size > MOST_CHANNELS:
            subject.skip(rule, weight.name, f"over {MOST_CHANNELS:,} channels")
            continue
        if subject.sketch(weight).non_finite:
            subject.skip(rule, weight.name, "holds NaN or infinity")
            continue
        sizes = np.abs(weight.read().astype(np.float64)).ravel()
        median = float(np.median(sizes))
        dead = np.flatnonzero(sizes < ratio * median)
        if dead.size:
            yield rule.finding(
                f"{dead.size} of {sizes.size} scales {are(dead.size)} below {ratio:g} of the median magnitude of "
                f"{median:.3g} ({listed('channel', dead)}).",
                "Remove these channels for a smaller model of the same outputs, or exempt scales from weight decay.",
                {"dead": int(dead.size), "channels": sizes.size, "median": median, "threshold": ratio},
                weight=weight.name,
            )
