"""Binary or ternary weights flip back and forth instead of settling.

## What it does
Takes the share of values that flip back again and again (series `oscillating`: a running mean over measured steps, of
flips after the first, above 0.1) over the last tenth of the recorded steps and reports a median above 1 %.

## Why it is bad
The straight-through gradient pushes a latent weight across zero and, once there, back: it hops between two values for
ever. What is packed is one of them by chance, and running statistics of batch norm belong to neither.

## Threshold
1 % of the values. In the trainings that WS301 names it was at most 0.002 % where the rate fell to zero and 0.24 % where
it was constant, at any rate from 0.00001 to 0.1.

## What to do
Let the learning rate fall to zero, freeze weights that oscillate, or pull latent weights away from zero; estimate the
statistics of batch norm anew afterwards.

## References
Nagel et al. (2022), "Overcoming Oscillations in Quantization-Aware Training".
"""

from collections.abc import Iterator

from weightsmith.rules.discrete import at_end, recorded
from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import Rule, Subject

THRESHOLDS = {"share": 0.01}


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each weight many of whose values oscillate."""
    limit = subject.threshold(rule, "share")
    for name, series in recorded(subject.require_run(), "oscillating", "binary or ternary"):
        share = at_end(series)
        if share > limit:
            yield rule.finding(
                f"At the end {share:.1%} of its values flip back and forth, in more than every tenth step.",
                "Let the learning rate fall to zero, then estimate the statistics of batch norm anew.",
                {"oscillating": share, "threshold": limit},
                weight=name,
            )
