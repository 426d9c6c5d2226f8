"""A mask still changes when training ends.

## What it does
Multiplies the overlaps (intersection over union, series `mask_overlap`) between consecutive looks at a mask in the last
tenth of the recorded steps and reports a product below 0.9. Needs 20 measured steps.

## Why it is bad
Connections that came in at the end had no time to learn, and those that left took what they had learned with them. The
last steps should train what stays.

## Threshold
A tenth of the connections. RigL stops moving masks after three quarters of the training (Evci et al. 2020), gradual
pruning leaves the last quarter for recovery (Zhu and Gupta 2017): both keep an overlap of 1.

## What to do
End the updates earlier (`end: 0.75`), or train longer.

## References
Evci et al. (2020), "Rigging the Lottery: Making All Tickets Winners"; Zhu and Gupta (2017), "To prune, or not to prune:
exploring the efficacy of pruning for model compression".
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.discrete import END, recorded
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"overlap": 0.9}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each mask that moves at the end."""
    limit = subject.threshold(rule, "overlap")
    for name, series in recorded(subject.require_run(), "mask_overlap", "sparse"):
        steps = series.steps
        late = steps > steps[-1] - END * (steps[-1] - steps[0])
        kept = float(np.prod(series.values[late]))
        if kept < limit:
            first = int(steps[late][0])
            yield rule.finding(
                f"Between step {first} and the end, step {int(steps[-1])}, only {kept:.0%} of its mask stayed.",
                "Stop moving the mask after three quarters of the training (end: 0.75).",
                {"overlap": kept, "threshold": limit},
                weight=name,
                since=first,
            )
