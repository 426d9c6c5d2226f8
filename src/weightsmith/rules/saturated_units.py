"""Units of tanh or sigmoid that sit at the flat ends of their curve.

## What it does
Reads the recorded share of units, per layer before a tanh or sigmoid, that were saturated (|tanh| above 0.99, sigmoid
below 0.01 or above 0.99) for over 95 % of the inputs of the last ten measured batches, and reports a layer where it
is above 50 % at the end of the run.

## Why it is bad
At the flat end the derivative is under 2 % of its maximum: such units pass on almost no gradient.

## Threshold
50 % of a layer, as Amazon SageMaker Debugger's SaturatedActivation and torchmortem have it.

## What to do
Initialize with Xavier, scale or standardize the inputs, add batch norm, lower the learning rate, or use a rectifier.

## References
Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks", section 3.
"""

from collections.abc import Iterator

from weightsmith.rules.activity import final_shares
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

LIMIT = 0.5


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each layer with too many saturated units."""
    for name, share, since in final_shares(subject.require_run(), "saturated_units", LIMIT):
        yield rule.finding(
            f"{share:.0%} of its units sit at the flat end of their activation for nearly all inputs.",
            "Initialize with Xavier (init: auto), standardize the inputs, add batch norm, or use a rectifier.",
            {"saturated_share": share, "threshold": LIMIT},
            weight=name,
            since=since,
        )
