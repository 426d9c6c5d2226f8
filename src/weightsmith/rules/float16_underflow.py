"""Values so small that float16 rounds them to zero or to a few bits.

## What it does
Counts the nonzero values of each weight matrix of a wider type that float16 would round to zero (below 2**-25, about
3e-8), and those that it would keep with fewer than its 11 significant bits (below 2**-14, about 6e-5).

## Why it is bad
After conversion the small weights are gone or coarse, although nothing overflows and no error is raised.

## Threshold
1 % rounded to zero, or half kept with fewer bits. Of Gaussian weights with a standard deviation of 0.02 one in a
million is rounded to zero and 0.24 % lose bits.

## What to do
Convert to bfloat16, which has the range of float32, or scale the layer up and what follows it down.

## References
Micikevicius et al. (2018), "Mixed Precision Training", section 3.2, on values lost below 2**-24.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

THRESHOLDS = {"lost": 0.01, "coarse": 0.5}
LEAST_SIZE = 256
WIDER = ("float32", "float64", "bfloat16")
LOST = 2.0**-25
COARSE = 2.0**-14


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix of which float16 would lose too much."""
    most_lost, most_coarse = subject.threshold(rule, "lost"), subject.threshold(rule, "coarse")
    weights = [weight for weight in float_weights(rule, subject, least_size=LEAST_SIZE) if weight.dtype in WIDER]
    if not weights:
        raise NotCheckedError("no weight matrix is stored in a type of wider range than float16")
    for weight in weights:
        sketch = subject.sketch(weight)
        nonzero = sketch.finite - sketch.zeros
        if nonzero < LEAST_SIZE:
            continue
        lost = 1 - sketch.tail(LOST) * sketch.finite / nonzero
        coarse = 1 - sketch.tail(COARSE) * sketch.finite / nonzero
        if lost > most_lost or coarse > most_coarse:
            yield rule.finding(
                f"In float16 {lost:.1%} of its nonzero values would become zero and {coarse:.1%} would keep fewer than "
                f"11 bits; their root mean square is {sketch.rms:.2g}.",
                "Use bfloat16 in place of float16, or scale the layer up and what follows it down.",
                {"lost": lost, "lost_threshold": most_lost, "coarse": coarse, "coarse_threshold": most_coarse},
                weight=weight.name,
            )
