"""Values stored in more bits than they have.

## What it does
Reports weights of 4096 values or more stored as float64, and weights stored as float32 all of whose values bfloat16
holds exactly. Weights of packed files, and those that a run trained as binary, ternary or sparse, are left out.

## Why it is bad
The file is twice as large as what is in it, and loads and computes at half the speed. For float32 that holds bfloat16
it also says that the weights went through bfloat16 once: fine-tuning starts from rounded values.

## Threshold
All values: a single one that needs more bits keeps the weight in float32. Random float32 values all fit bfloat16 with a
chance of 1 in 65,536 each.

## What to do
Store it as bfloat16 (or float32 instead of float64): for float32 that loses nothing at all.

## References
Kalamkar et al. (2019), "A Study of BFLOAT16 for Deep Learning Training".
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import of_a_kind
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import Rule, Subject
from weightsmith.weight import ROLES

LEAST_SIZE = 4096


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight stored in too wide a type."""
    for weight in float_weights(rule, subject, roles=ROLES, least_size=LEAST_SIZE, least_axes=1):
        sketch = subject.sketch(weight)
        if sketch.finite < LEAST_SIZE or sketch.minimum == sketch.maximum:
            continue
        if weight.dtype == "float64":
            narrow, reason = "float32", "are stored as float64, which no weights need"
        elif weight.dtype == "float32" and sketch.exact:
            narrow, reason = "bfloat16", "are stored as float32, and bfloat16 holds every one of them exactly"
        else:
            continue
        if of_a_kind(rule, subject, weight):
            continue
        saved = weight.nbytes // 2
        yield rule.finding(
            f"Its {weight.size} values {reason}: {saved} bytes more than needed.",
            f"Store it as {narrow}.",
            {"values": weight.size, "bytes_saved": saved, "dtype": weight.dtype, "enough": narrow},
            weight=weight.name,
        )
