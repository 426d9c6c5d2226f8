"""Binary or ternary weights stopped flipping long before training ended.

## What it does
Reports a weight of 256 values or more none of which flipped in the later half of the recorded steps (series
`flip_rate`). Needs 20 measured steps, ten of them in that half.

## Why it is bad
The values that the network uses have not changed since: half of the training went into latent weights that nothing
reads, and into biases and norms. Mostly the learning rate is too small against the latent weights, which start far from
zero.

## Threshold
The later half. In a training whose rate follows a cosine to zero, weights still flip at half time (see WS301); one flip
in any measured step is enough to pass. Where the loss fell below 5 % of what it was at first, the finding is for
information: there was nothing left to learn.

## What to do
Raise the learning rate of these weights, or start the latent ones closer to zero. Where the loss was down by then,
training can end there.

## References
Helwegen et al. (2019), "Latent Weights Do Not Exist: Rethinking Binarized Neural Network Optimization"; Tang, Hua and
Wang (2017), "How to Train a Compact Binary Neural Network with High Accuracy?", on the rate of binary weights.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from weightsmith.rules.discrete import recorded
from weightsmith.rules.finding import Finding, Severity
from weightsmith.rules.rule import Rule, Subject

if TYPE_CHECKING:
    from weightsmith.store import Run

THRESHOLDS = {"share": 0.5}
LEAST_SIZE = 256
LEAST_LATE = 10
LEARNED = 0.05


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight that froze."""
    run, limit = subject.require_run(), subject.threshold(rule, "share")
    sizes = {weight.name: weight.size for weight in run.weights}
    severity: Severity = "info" if _learned(run) else "warning"
    for name, series in recorded(run, "flip_rate", "binary or ternary"):
        flips = np.flatnonzero(series.values > 0)
        last = int(series.steps[flips[-1]]) if flips.size else 0
        end = int(series.steps[-1])
        idle = 1 - last / end
        late = int(np.count_nonzero(series.steps > last))
        if idle > limit and late >= LEAST_LATE and sizes[name] >= LEAST_SIZE:
            when = f"after step {last}" if last else "in any measured step"
            yield rule.finding(
                f"None of its {sizes[name]} values flipped {when}, of {end} steps.",
                "Raise the learning rate of these weights or start the latent ones closer to zero; or train shorter.",
                {"idle_share": idle, "threshold": limit, "last_flip": last, "steps": end},
                weight=name,
                since=last,
                severity=severity,
            )


def _learned(run: "Run") -> bool:
    """Whether the loss of the last tenth of the steps is next to nothing beside that of the first tenth."""
    losses = run.series("loss").values
    part = max(len(losses) // 10, 1)
    return len(losses) > 1 and bool(np.median(losses[-part:]) < LEARNED * np.median(losses[:part]))
