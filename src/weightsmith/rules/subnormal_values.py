"""Values closer to zero than the smallest normal number of their type.

## What it does
Counts the subnormal values of each float32, float64 and bfloat16 weight. In float16 they begin at 6e-5 and belong to
ordinary use, so that type is left out.

## Why it is bad
Many processors multiply subnormal numbers tens of times slower, and others silently take them for zero, so speed and
results differ from machine to machine. They are what is left where weight decay shrinks an unused weight for ever.

## Threshold
0.1 % of the nonzero values, at least 16. Trained weights that are in use hold none: float32's begin at 1.2e-38. Of the
released models that this was calibrated on one holds some, in channels that weight decay shrank to nothing: a true
finding.

## What to do
Set them to zero, which changes no output; prune the units that consist of them.

## References
IEEE 754-2019, section 3.3; Goldberg (1991), "What Every Computer Scientist Should Know About Floating-Point
Arithmetic".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.weight import ROLES

THRESHOLDS = {"share": 0.001}
LEAST = 16
TYPES = ("float32", "float64", "bfloat16")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight with many subnormal values."""
    limit = subject.threshold(rule, "share")
    weights = [weight for weight in subject.each(roles=ROLES) if weight.dtype in TYPES]
    if not weights:
        raise NotCheckedError("there are no weights in float32, float64 or bfloat16")
    for weight in weights:
        sketch = subject.sketch(weight)
        nonzero = max(sketch.finite - sketch.zeros, 1)
        if sketch.subnormals >= LEAST and sketch.subnormals > limit * nonzero:
            yield rule.finding(
                f"{sketch.subnormals} of its {nonzero} nonzero values ({sketch.subnormals / nonzero:.1%}) are "
                f"subnormal in {weight.dtype}.",
                "Set them to zero; remove units that consist of nothing else.",
                {"subnormal": sketch.subnormals, "nonzero": nonzero, "threshold": limit},
                weight=weight.name,
            )
