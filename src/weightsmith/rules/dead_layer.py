"""A layer of zeros.

## What it does
Reports linear, convolutional, recurrent and embedding weights (16 values or more) at least 99.99 % of whose values are
exactly zero. The second matrix of a low-rank adapter is another rule's.

## Why it is bad
The layer passes nothing on: what comes before it has no effect. It was never trained, pruned away whole, or lost in a
conversion. Where all layers in a row are like that, nothing reaches the output.

## Threshold
99.99 %, which is weightlens' bound for a dead layer. Blocks that start as the identity (a last layer of zeros in a
residual branch) are such layers only before training.

## What to do
Remove the layer if it was pruned; load the checkpoint again if it should hold weights; see whether it was trained.

## References
Zhang, Dauphin and Ma (2019), "Fixup Initialization", on layers that start at zero on purpose.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.untrained_adapter import SECOND

THRESHOLDS = {"share": 0.9999}
LEAST_SIZE = 16


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix of zeros."""
    limit = subject.threshold(rule, "share")
    for weight in float_weights(rule, subject, least_size=LEAST_SIZE):
        sketch = subject.sketch(weight)
        if sketch.sparsity >= limit and not SECOND.search(weight.name):
            yield rule.finding(
                f"{sketch.zeros} of its {sketch.count} values are exactly zero.",
                "Remove the layer if it was pruned; otherwise see whether it was trained and loaded.",
                {"zeros": sketch.zeros, "values": sketch.count, "threshold": limit},
                weight=weight.name,
            )
