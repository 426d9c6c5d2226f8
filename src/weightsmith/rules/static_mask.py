"""A dynamic method never changed the mask that it should move.

## What it does
Looks at runs whose recipe asks for sparse weights by `set` or `rigl`, and reports a weight some of whose values are
zero and whose mask was the same at every look (series `mask_churn`). Needs 20 measured steps.

## Why it is bad
Such methods live by dropping connections and growing others; with a mask that never moves the run is the training of
one random sparse network, which ends several points lower.

## Threshold
Not a single connection. The methods move 30 % of them at their first update.

## What to do
Update the masks more often than the training is long: lower `interval`, and call the controller's `step` after each
optimizer step.

## References
Mocanu et al. (2018), "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
network science"; Evci et al. (2020), "Rigging the Lottery: Making All Tickets Winners".
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import recorded
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

DYNAMIC = ("set", "rigl")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each mask that never moved."""
    run = subject.require_run()
    kind = (run.recipe or {}).get("kind")
    method = kind.get("method") if isinstance(kind, dict) else None
    if method not in DYNAMIC:
        raise NotCheckedError("the recipe names no method that moves masks (set, rigl)")
    for name, series in recorded(run, "mask_churn", "sparse"):
        zeros = run.series("zeros", name).values
        if not series.values.any() and len(zeros) and 0 < zeros[-1] < 1:
            yield rule.finding(
                f"Its mask is the same at all {len(series)} looks over {int(series.steps[-1])} steps.",
                "Lower the interval between updates, and call the controller's step after each optimizer step.",
                {"changes": 0, "looks": len(series), "zeros": float(zeros[-1])},
                weight=name,
            )
