"""One direction outweighs all others of a matrix.

## What it does
Takes the two largest singular values of 64 evenly spaced rows (their first 1024 values) of each linear, convolutional
and recurrent weight with at least 64 rows of 64 values, and reports a first one more than 10 times the second.

## Why it is bad
Every output has the same large part in it, which drowns the rest in low precision, makes the layer sensitive to a
single pattern of its input, and slows training on. Typical causes are a mean far from zero, a few diverged steps, a
poisoned or merged-in update of rank one.

## Threshold
10 times the second singular value. Random matrices of this size stay below 1.5; the healthy models that this was
calibrated on reach 5.1.

## What to do
Look at the direction (`weightsmith plot` shows it as stripes): subtract the mean row if that is all it is; use spectral
normalization or lower the learning rate if it grew in training.

## References
Miyato et al. (2018), "Spectral Normalization for Generative Adversarial Networks"; Martin and Mahoney (2021), "Implicit
Self-Regularization in Deep Neural Networks".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.sample import sampled_matrices

THRESHOLDS = {"ratio": 10.0}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix that one direction rules."""
    ratio = subject.threshold(rule, "ratio")
    for weight, seen in sampled_matrices(rule, subject):
        first, second = float(seen.energies[0]) ** 0.5, float(seen.energies[1]) ** 0.5
        share = float(seen.energies[0] / seen.energies.sum())
        if first > ratio * second:
            yield rule.finding(
                f"The largest singular value of {seen.rows} sampled rows is {first:.3g}, {first / second:.0f} times "
                "the "
                f"second, and holds {share:.0%} of their energy.",
                "Subtract the mean row if that is all it is, or train with spectral normalization.",
                {"first": first, "second": second, "ratio_threshold": ratio, "share": share},
                weight=weight.name,
            )
