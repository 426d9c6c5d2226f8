"""Binary or ternary weights still flip a lot when training ends.

## What it does
Takes the share of effective values that flip in a step (series `flip_rate`) over the last tenth of the recorded steps
and reports a median above 0.1 %. Needs 20 measured steps.

## Why it is bad
At that rate every weight flips once in a thousand steps: the network that is packed differs from the one of a moment
before and after, running statistics of batch norm lag behind it, and no latent weight has made up its mind.

## Threshold
1 in 1000 values a step. In a 784-256-256-10 network of binary weights on MNIST (Adam, 1,200 steps) no weight flipped in
the median step of the last tenth with a cosine to zero from 0.001; with a constant rate of 0.01 it was 0.14 to 0.31 %.
Helwegen et al. follow the same share to choose the threshold of their optimizer.

## What to do
Let the learning rate fall to zero (`schedule: cosine`), lower it, or raise the threshold of Bop.

## References
Helwegen et al. (2019), "Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization".
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import at_end, recorded
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"rate": 1e-3}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight that still flips a lot."""
    limit = subject.threshold(rule, "rate")
    for name, series in recorded(subject.require_run(), "flip_rate", "binary or ternary"):
        rate = at_end(series)
        if rate > limit:
            yield rule.finding(
                f"At the end {rate:.2%} of its values flip in a step, or each one every {1 / rate:.0f} steps.",
                "Let the learning rate fall to zero (schedule: cosine) or lower it; with Bop, raise its threshold.",
                {"flip_rate": rate, "threshold": limit},
                weight=name,
            )
