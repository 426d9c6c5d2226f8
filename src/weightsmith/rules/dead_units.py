"""Rectified units that never fire.

## What it does
Reads the recorded share of units, per layer before a rectifier, that were not positive for a single input of the last
ten measured batches, and reports a layer where it is above 40 % at the end of the run.

## Why it is bad
A unit that is never positive has a gradient of zero and cannot come back: the layer is narrower than it looks.

## Threshold
40 %. Karpathy's CS231n notes name 40 % of a network as what can be dead when the learning rate is too
high; Amazon SageMaker Debugger's DeadRelu fires at 50 % of a layer.

## What to do
Lower the learning rate, initialize for the rectifier (`init: auto`), or use leaky ReLU, GELU or batch norm.

## References
Karpathy, CS231n notes, "Neural Networks Part 1"; Lu et al. (2019), "Dying ReLU and Initialization".
"""

from collections.abc import Iterator

from weightsmith.rules.activity import final_shares
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

LIMIT = 0.4


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each layer with too many dead units."""
    for name, share, since in final_shares(subject.require_run(), "dead_units", LIMIT):
        yield rule.finding(
            f"{share:.0%} of its units were not active for any input of the last measured batches.",
            "Lower the learning rate, initialize with init: auto, or use leaky_relu, gelu or batch norm.",
            {"dead_share": share, "threshold": LIMIT},
            weight=name,
            since=since,
        )
