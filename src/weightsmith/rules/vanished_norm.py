"""A layer whose weights are far smaller than those of its peers.

## What it does
Compares the root mean square of each linear, convolutional and recurrent weight with that of the same weight in
repeated layers, of which there must be five, and other weights by their gain (root mean square times the root of the
fan-in) with all of their role: the comparison of `exploded-norm`, at the other end. Weights of zeros alone are another
rule's.

## Why it is bad
The layer passes on nearly nothing, so all below it reaches the output by a residual path alone or not at all. Weight
decay does that to a layer that gets no gradient; so does a conversion that forgets a scale.

## Threshold
A third of the median of repeated layers (a thirtieth for the gain of others), and 5 robust standard deviations below
it. In the healthy models that this was calibrated on repeated layers come down to 0.69 of their median and gains to a
twentieth. model-clinic warns at a root mean square of 1e-6.

## What to do
See whether the layer is in use: cut it out where it is not, leave weight decay off where gradients are missing, look
for a scale left out in a conversion.

## References
Iglewicz and Hoaglin (1993), "How to Detect and Handle Outliers"; Glorot and Bengio (2010), "Understanding the
difficulty of training deep feedforward neural networks".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.peers import compared
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"ratio": 3.0, "gain_ratio": 30.0, "score": 5.0}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight far smaller than its peers."""
    least_score = subject.threshold(rule, "score")
    for found in compared(rule, subject):
        limit = subject.threshold(rule, "ratio" if found.repeated else "gain_ratio")
        if found.size * limit < found.usual and found.score < -least_score:
            what, peers = ("root mean square", "layers") if found.repeated else ("gain", "weights of its role")
            yield rule.finding(
                f"Its {what} is {found.size:.3g}, a {found.usual / found.size:.3g}th of the median of "
                f"{found.usual:.3g} over {found.peers} {peers} ({-found.score:.1f} robust standard deviations below).",
                "Cut the layer out if it is not in use, or look for a scale left out in a conversion.",
                {"size": found.size, "median": found.usual, "ratio_threshold": limit, "score": found.score},
                weight=found.weight.name,
            )
