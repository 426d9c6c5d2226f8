"""A layer whose weights are far larger than those of its peers.

## What it does
Compares the root mean square of each linear, convolutional and recurrent weight with that of the same weight in
repeated layers (`layers.0.mlp.up`, `layers.1.mlp.up`, ... of one shape), of which there must be five. A weight that is
not repeated is compared with all of its role by its gain (root mean square times the root of its fan-in), by which
sound layers of any width agree better. Both are compared on a logarithmic scale, against the median and the median
absolute deviation.

## Why it is bad
The layer blows its inputs up: activations overflow in 16 bits, or the next norm lets this layer drown all others. It is
what a diverged training, a wrong merge or a missed scale leaves behind.

## Threshold
3 times the median of repeated layers (30 times for the gain of others), and 5 robust standard deviations. In the
healthy models that this was calibrated on repeated layers reach 1.2 times their median and gains 4.2 times. weightlens
warns at 10 times the median variance (3.2 times the root mean square): the same for repeated layers, while over layers
of all shapes it names sound ones, such as the narrow last convolution of a voice detector.

## What to do
Go back to a checkpoint from before; clip gradients or lower the learning rate; after a conversion or merge, look for a
scale that was applied twice or left out.

## References
Iglewicz and Hoaglin (1993), "How to Detect and Handle Outliers"; Pascanu, Mikolov and Bengio (2013), "On the difficulty
of training recurrent neural networks".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.peers import compared
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"ratio": 3.0, "gain_ratio": 30.0, "score": 5.0}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight far larger than its peers."""
    least_score = subject.threshold(rule, "score")
    for found in compared(rule, subject):
        limit = subject.threshold(rule, "ratio" if found.repeated else "gain_ratio")
        if found.size > limit * found.usual and found.score > least_score:
            what, peers = ("root mean square", "layers") if found.repeated else ("gain", "weights of its role")
            yield rule.finding(
                f"Its {what} is {found.size:.3g}, {found.size / found.usual:.3g} times the median of {found.usual:.3g} "
                f"over {found.peers} {peers} ({found.score:.1f} robust standard deviations).",
                "Return to an earlier checkpoint, or look for a scale applied twice in a conversion or merge.",
                {"size": found.size, "median": found.usual, "ratio_threshold": limit, "score": found.score},
                weight=found.weight.name,
            )
