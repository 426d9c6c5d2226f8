"""Units all of whose incoming weights are exactly zero.

## What it does
Counts the rows of each weight matrix (units, or filters of a convolution) that hold nothing but zeros. A table of
embeddings may have one, for padding.

## Why it is bad
Such a unit puts out its bias whatever the input is: it costs memory and time and says nothing. Where L1 or group lasso
was asked for it is the very thing wanted, and then the finding is for information.

## Threshold
One row; exact zeros only, as almost-zeros may still matter.

## What to do
Remove the units to make the layer smaller. Where sparsity was not asked for, look for a frozen or never initialized
layer.

## References
Yuan and Lin (2006), "Model selection and estimation in regression with grouped variables", on when whole groups are
zero.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.rule import Rule, Subject
from weightsmith.weight import MATRIX_ROLES


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with rows of zeros."""
    severity: Severity = "info" if _sparsity_was_asked_for(subject) else "warning"
    for weight in subject.require_weights().values():
        if weight.role not in MATRIX_ROLES or len(weight.shape) < 2 or weight.size == 0:
            continue
        if subject.sketch(weight).zeros < weight.size // weight.shape[0]:
            continue
        rows = np.flatnonzero(~np.asarray(weight.read()).reshape(weight.shape[0], -1).any(axis=1))
        allowed = 1 if weight.role == "embedding" else 0
        if len(rows) > allowed:
            named = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
            yield rule.finding(
                f"{len(rows)} of {weight.shape[0]} rows are all zero (rows {named}).",
                "Remove these units to make the layer smaller, or find out why they were never trained.",
                {"zero_rows": len(rows), "rows": weight.shape[0]},
                weight=weight.name,
                severity=severity,
            )


def _sparsity_was_asked_for(subject: Subject) -> bool:
    recipe = (subject.run.recipe if subject.run else None) or {}
    penalties = recipe.get("penalties") or {}
    asked = {name for name, value in penalties.items() if value} & {"l1", "elastic_net", "group_lasso"}
    kind = recipe.get("kind")
    return bool(asked) or (kind.get("name") if isinstance(kind, dict) else kind) == "sparse"
