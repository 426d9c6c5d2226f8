"""Values that float16 cannot hold, or only just.

## What it does
Takes the largest magnitude of each weight that is stored in a wider type than float16 and reports it where it is more
than half of 65504, the largest number of float16. Beyond 65504 the finding is a warning, below it is for information.

## Why it is bad
Converting such a weight to float16 turns its largest values into infinities, and every output that depends on them into
infinity or NaN. Just below the limit a sum or a small update during fine-tuning is enough.

## Threshold
32752, half of the largest float16. The weights of the models that this was calibrated on stay below 100; running
variances of batch norm can be larger.

## What to do
Keep the weight in bfloat16 or float32, or divide it by a constant that the next layer multiplies back.

## References
IEEE 754-2019, binary16; Micikevicius et al. (2018), "Mixed Precision Training".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import largest
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.weight import ROLES

THRESHOLDS = {"largest": 32752.0}
WIDER = ("float32", "float64", "bfloat16", "float8_e8m0fnu")
GREATEST = 65504.0


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight with values that float16 cannot hold or only just."""
    limit = subject.threshold(rule, "largest")
    weights = [weight for weight in subject.each(roles=ROLES) if weight.dtype in WIDER]
    if not weights:
        raise NotCheckedError("no weight is stored in a type of wider range than float16")
    for weight in weights:
        found = largest(subject.sketch(weight))
        if found > limit:
            over = found > GREATEST
            fate = "becomes infinite in float16" if over else f"leaves a factor of {GREATEST / found:.2g} in float16"
            yield rule.finding(
                f"Its largest magnitude is {found:.6g}, which {fate} (largest number {GREATEST:.0f}).",
                "Keep it in bfloat16 or float32, or scale it down and the next layer up.",
                {"largest": found, "threshold": limit, "float16_largest": GREATEST},
                weight=weight.name,
                severity="warning" if over else "info",
            )
