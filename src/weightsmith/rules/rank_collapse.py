"""A large matrix that has only a few directions.

## What it does
Takes the singular values of 64 evenly spaced rows (their first 1024 values) of each linear, convolutional and recurrent
weight with at least 64 rows of 64 values, and reports a matrix of which 4 directions or fewer hold 99 % of the energy
(the sum of the squared singular values).

## Why it is bad
Whatever comes in, hardly more than a few numbers leave the layer. Representations have collapsed, or the layer was
trained with far too strong a penalty, or it was built as a product of two small matrices and can be stored as such.

## Threshold
4 of at most 64. Random rows need over 50; the healthy models that this was calibrated on need 17 or more, even those
where one direction alone holds nine tenths. Rows of rank r have at most r however many are looked at, so a sample of
rows sees every collapse of the whole.

## What to do
Store it as the product of two thin matrices; if the model is to be trained on, draw the layer again and lower the
penalty or the learning rate.

## References
Eckart and Young (1936), "The approximation of one matrix by another of lower rank"; Dong, Cordonnier and Loukas (2021),
"Attention is not all you need: pure attention loses rank doubly exponentially with depth".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject
from weightsmith.rules.sample import Sample, sampled_matrices

THRESHOLDS = {"directions": 4.0, "energy": 0.99}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix of hardly any rank."""
    limit, energy = subject.threshold(rule, "directions"), subject.threshold(rule, "energy")
    for weight, seen in sampled_matrices(rule, subject):
        needed = directions(seen, energy)
        if needed <= limit:
            yield rule.finding(
                f"{needed} of {seen.rows} directions hold {energy:.0%} of the energy of its rows of "
                f"{weight.size // weight.shape[weight.info.output_axis]} "
                f"values ({seen.rows} rows were sampled).",
                "Store it as a product of two thin matrices, or draw it again and train with a weaker penalty.",
                {"directions": needed, "sampled": seen.rows, "threshold": limit, "energy": energy},
                weight=weight.name,
            )


def directions(seen: Sample, energy: float) -> int:
    """How many singular directions hold that share of a sample's energy."""
    total = np.cumsum(seen.energies)
    return int(np.searchsorted(total, energy * total[-1])) + 1
