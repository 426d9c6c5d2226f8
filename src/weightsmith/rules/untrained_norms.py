"""Norm scales that are still exactly one although others were trained.

## What it does
Reports scales of norms (8 values or more) that hold nothing but ones, in a model where other scales do not.

## Why it is bad
Any gradient moves a scale away from one, so this norm was frozen, left out of the optimizer, not loaded, or is not in
use: whoever fine-tunes or prunes the model should know.

## Threshold
All values exactly one. Norms of bfloat16 can stay at one for a while under small learning rates, as its numbers next to
one are 0.4 % apart; hence for information.

## What to do
See whether the norm is in the optimizer and in the checkpoint's names, and whether the layer is in use.

## References
Ioffe and Szegedy (2015), "Batch Normalization"; Ba, Kiros and Hinton (2016), "Layer Normalization".
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

LEAST_SIZE = 8


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each scale of ones beside trained ones."""
    scales = float_weights(rule, subject, roles=["norm"], least_size=LEAST_SIZE, least_axes=1)
    fresh = [
        s for s in scales if subject.sketch(s).minimum == subject.sketch(s).maximum == 1 and not subject.sketch(s).nan
    ]
    if len(scales) < 2:
        raise NotCheckedError("there is only one norm, and nothing to compare it with")
    if len(fresh) == len(scales):
        return
    for scale in fresh:
        yield rule.finding(
            f"All {scale.size} values are exactly one, while {len(scales) - len(fresh)} of {len(scales)} norm scales "
            "are "
            "not.",
            "See whether this norm was trained, loaded and used.",
            {"values": scale.size, "norms": len(scales), "fresh_norms": len(fresh)},
            weight=scale.name,
        )
