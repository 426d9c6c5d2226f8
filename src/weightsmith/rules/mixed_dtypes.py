"""A few weights are in another float type than all their peers.

## What it does
Counts the float types of the weights of each role (at least 8 of them). Where one type holds nine tenths or more, it
reports the others together, one finding for each type and role.

## Why it is bad
A lone float32 layer among bfloat16 ones doubles its own size, is slower, and makes frameworks insert conversions or
refuse to run; a lone float16 one among float32 has lost precision. Mostly it is left behind by a partial conversion or
a merge of two models.

## Threshold
At most 10 % in another type. Norms kept in float32 beside matrices of 16 bits are good practice, so roles are not
mixed; for information, as some models keep a router or the last layer in float32 on purpose.

## What to do
Convert these weights to the type of the others, unless they were kept in it on purpose.

## References
Micikevicius et al. (2018), "Mixed Precision Training"; Fedus, Zoph and Shazeer (2022), "Switch Transformers", section
2.4, on routers kept in float32.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from weightsmith.names import printable
from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight
from weightsmith.weight import ROLES, Role

THRESHOLDS = {"share": 0.1}
LEAST_WEIGHTS = 8


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each type that few weights of a role have."""
    limit = subject.threshold(rule, "share")
    roles: dict[Role, list[Weight]] = defaultdict(list)
    for weight in subject.each(roles=[role for role in ROLES if role != "other"]):
        if is_float(weight):
            roles[weight.role].append(weight)
    judged = {role: weights for role, weights in roles.items() if len(weights) >= LEAST_WEIGHTS}
    if not judged:
        raise NotCheckedError(f"no role has {LEAST_WEIGHTS} floating-point weights to compare")
    for role, weights in judged.items():
        (usual, _), *rare = Counter(weight.dtype for weight in weights).most_common()
        if sum(count for _, count in rare) > limit * len(weights):
            continue
        for dtype, count in rare:
            names = [printable(weight.name) for weight in weights if weight.dtype == dtype]
            named = ", ".join(names[:3]) + (", ..." if count > 3 else "")
            yield rule.finding(
                f"{count} of {len(weights)} {role} weights are in {dtype}, the others in {usual} ({named}).",
                f"Convert them to {usual}, unless they were kept in {dtype} on purpose.",
                {"weights": count, "of": len(weights), "dtype": dtype, "usual": usual, "threshold": limit},
                weight=names[0] if count == 1 else None,
            )
