"""The training loss grows or jumps instead of falling.

## What it does
Cuts the run into twenty stretches of steps and reports a stretch whose mean loss is more than twice that of the first,
or a last stretch more than one and a half times above the best, or a loss that became NaN or infinite.

## Why it is bad
Each step overshoots the valley it aims at: at best training is slow and noisy, at worst it diverges.

## Threshold
Twice the first mean, and one and a half times the best: the bounds that torchmortem uses for a spike and for
divergence.

## What to do
Lower the learning rate three- to tenfold, warm it up, or clip the gradient.

## References
LeCun et al. (1998), "Efficient BackProp", section 4.6, on the largest rate that does not diverge.
"""

from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.losses import loss_windows
from weightsmith.rules.rule import Rule, Subject

SPIKE = 2.0
DIVERGENCE = 1.5
ADVICE = "Lower the learning rate three- to tenfold, warm it up, or clip the gradient."


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for a loss that is not finite, that spikes, or that ends far above its best."""
    run = subject.require_run()
    series = run.series("loss")
    broken = np.flatnonzero(~np.isfinite(series.values))
    if broken.size:
        step = int(series.steps[broken[0]])
        yield rule.finding(
            f"The training loss became {series.values[broken[0]]:g} at step {step}.",
            ADVICE,
            {"step": step},
            since=step,
            severity="error",
        )
        return
    windows = loss_windows(run)
    first, best, last = float(windows.means[0]), float(windows.means.min()), float(windows.means[-1])
    worst = int(windows.means.argmax())
    if windows.means[worst] > SPIKE * first > 0:
        text = f"The mean training loss rose from {first:.4g} to {windows.means[worst]:.4g}"
        since = int(windows.steps[worst])
    elif last > DIVERGENCE * best > 0 and last - best > 0.1 * (first - best):
        text = f"The mean training loss rose from its best of {best:.4g} to {last:.4g} at the end"
        since = int(windows.steps[int(windows.means.argmin())])
    else:
        return
    yield rule.finding(
        f"{text} (about step {since}).",
        ADVICE,
        {"first": first, "best": best, "last": last, "spike_threshold": SPIKE, "divergence_threshold": DIVERGENCE},
        since=since,
    )
