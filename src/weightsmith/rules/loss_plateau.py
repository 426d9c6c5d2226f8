"""The training loss has stopped falling while it is still high.

## What it does
Cuts the run into twenty stretches and compares the best mean loss of the first ten with the best of the last ten. It
reports less than 1 % of improvement while the loss is above half of what it was in the first five steps. A loss that
grew by more than 10 % is no plateau; WS111 looks at those.

## Why it is bad
Half of the time was spent for nothing, and what was reached is little better than the start.

## Threshold
1 % of improvement over half of the run; a loss above half of the first five. A run that has converged to a low loss is
flat too, but has nothing left to gain, so it is not reported. (Amazon SageMaker Debugger's LossNotDecreasing asks for a
given percentage within a given number of steps.)

## What to do
Raise the learning rate or let it fall in steps, change the initialization, or give the model more capacity.

## References
Prechelt (1998), "Early Stopping, But When?", on progress over strips of training.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.losses import WINDOWS, loss_windows
from weightsmith.rules.rule import Rule, Subject

LEAST_IMPROVEMENT = 0.01
MOST_WORSENING = 0.1
HIGH_SHARE = 0.5


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding when the second half of the run brought nothing and much was left to gain."""
    windows = loss_windows(subject.require_run())
    first, early = windows.initial, float(windows.means[: WINDOWS // 2].min())
    late = float(windows.means[WINDOWS // 2 :].min())
    flat = (1 - LEAST_IMPROVEMENT) * early < late < (1 + MOST_WORSENING) * early
    if flat and late > HIGH_SHARE * first > 0:
        yield rule.finding(
            f"The best mean training loss was {early:.4g} in the first half and {late:.4g} in the second; "
            f"it began at {first:.4g}.",
            "Raise the learning rate, change the initialization, or give the model more capacity.",
            {
                "first": first,
                "best_of_first_half": early,
                "best_of_second_half": late,
                "least_improvement": LEAST_IMPROVEMENT,
            },
            since=int(windows.steps[WINDOWS // 2]),
        )
