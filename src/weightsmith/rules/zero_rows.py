"""Units all of whose incoming weights are exactly zero.

## What it does
Counts the rows of each weight matrix (units, or filters of a convolution) that hold nothing but zeros. A table of
embeddings may have one, for padding. Layers of zeros alone are another rule's.

## Why it is bad
Such a unit puts out its bias whatever the input is: it costs memory and time and says nothing. Where L1 or group lasso
was asked for it is the very thing wanted, and then the finding is for information.

## Threshold
One row; exact zeros only, as almost-zeros may still matter. Released models hold such rows and the findings are true:
filters that died in training, and in a fixed Fourier basis the sine of frequency zero.

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
from weightsmith.rules.matrices import are, float_weights, listed, rows_of
from weightsmith.rules.rule import Rule, Subject


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each matrix with rows of zeros."""
    severity: Severity = "info" if _sparsity_was_asked_for(subject) else "warning"
    for weight in float_weights(rule, subject):
        count = weight.shape[weight.info.output_axis]
        zeros = subject.sketch(weight).zeros
        if not weight.size or zeros < weight.size // count or zeros == weight.size:
            continue
        statistics = rows_of(rule, subject, weight)
        if statistics is None:
            continue
        rows = np.flatnonzero(statistics.neurons.zeros == statistics.neurons.length)
        allowed = 1 if weight.role == "embedding" else 0
        if len(rows) > allowed:
            yield rule.finding(
                f"{len(rows)} of {count} rows {are(len(rows))} all zero ({listed('row', rows)}).",
                "Remove these units to make the layer smaller, or find out why they were never trained.",
                {"zero_rows": len(rows), "rows": count},
                weight=weight.name,
                severity=severity,
            )


def _sparsity_was_asked_for(subject: Subject) -> bool:
    recipe = (subject.run.recipe if subject.run else None) or {}
    penalties = recipe.get("penalties") or {}
    asked = {name for name, value in penalties.items() if value} & {"l1", "elastic_net", "group_lasso"}
    kind = recipe.get("kind")
    return bool(asked) or (kind.get("name") if isinstance(kind, dict) else kind) == "sparse"
