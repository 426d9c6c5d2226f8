"""Biases that are still exactly zero although others were trained.

## What it does
Reports bias vectors of 8 values or more that hold nothing but zeros, in a model where other biases do not.

## Why it is bad
A bias that gets any gradient at all leaves zero at the first step. This one got none: its layer was frozen or never
used, or a norm right behind it takes every constant away, and then the bias is a waste of parameters.

## Threshold
All values exactly zero. For information, as exported networks hold such biases by design. all-MiniLM-L6-v2 is a true
case: its pooler was never used in training.

## What to do
Build the layer with `bias=False` where a norm follows; else see whether it is in the optimizer and in use.

## References
Ioffe and Szegedy (2015), "Batch Normalization", section 3.2: the bias before it can be left out.
"""

from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import float_weights
from weightsmith.rules.rule import NotCheckedError, Rule, Subject

LEAST_SIZE = 8


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each bias of zeros beside trained ones."""
    biases = float_weights(rule, subject, roles=["bias"], least_size=LEAST_SIZE, least_axes=1)
    zero = [bias for bias in biases if subject.sketch(bias).zeros == bias.size]
    if len(biases) < 2:
        raise NotCheckedError("there is only one bias vector, and nothing to compare it with")
    if len(zero) == len(biases):
        return
    for bias in zero:
        yield rule.finding(
            f"All {bias.size} values are exactly zero, while {len(biases) - len(zero)} of {len(biases)} biases are "
            "not.",
            "See whether the layer was trained at all; where a norm follows it, it needs no bias.",
            {"values": bias.size, "biases": len(biases), "zero_biases": len(zero)},
            weight=bias.name,
        )
