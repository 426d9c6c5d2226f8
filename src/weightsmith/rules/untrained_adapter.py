"""A low-rank adapter that was never trained.

## What it does
Reports the second matrix of a low-rank adapter (`lora_B`, `lora_up`, `lora_embedding_B`) that holds nothing but zeros.

## Why it is bad
That matrix starts at zero so that an adapter changes nothing at first, and any training moves it. At zero the adapter
still changes nothing: the training did not reach it, or the wrong file was saved.

## Threshold
All values exactly zero.

## What to do
See that the adapter's parameters were in the optimizer and that it was active during training; leave it out of the file
where only some layers were meant to be adapted.

## References
Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
"""

import re
from collections.abc import Iterator

from weightsmith.rules.finding import Finding
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.weight import ROLES

SECOND = re.compile(r"(^|[._])lora_(b|up|embedding_b)($|[._])", re.IGNORECASE)


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each adapter whose second matrix is zero."""
    adapters = [weight for weight in subject.each(roles=ROLES, least_axes=2) if SECOND.search(weight.name)]
    if not adapters:
        raise NotCheckedError("there are no low-rank adapters")
    zero = [weight for weight in adapters if subject.sketch(weight).zeros == weight.size]
    for weight in zero:
        yield rule.finding(
            f"All {weight.size} values are exactly zero, as at its start ({len(zero)} of {len(adapters)} adapters "
            "are).",
            "See that the adapter was active and in the optimizer, and that the right file was saved.",
            {"values": weight.size, "zero_adapters": len(zero), "adapters": len(adapters)},
            weight=weight.name,
        )
