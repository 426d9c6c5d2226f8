"""Input and output embeddings that were one and no longer are.

## What it does
Looks for a table of token embeddings and an output layer of the same shape (`embed_tokens` and `lm_head`, `wte` and
`lm_head`, `word_embeddings` and `decoder`, `shared` and `lm_head`) and compares them value by value. It reports two
that differ by less than 5 % of their norm without being equal.

## Why it is bad
Tables trained apart differ by their whole norm. Two that nearly agree were one table, of which a tool changed a copy:
fine-tuning, merging, resizing or rounding reached one of them alone. Loaders that tie them again drop one of the two.

## Threshold
A difference of 5 % of the norm: rounding to bfloat16 makes 0.2 %, the last steps of a fine-tuning run mostly less than
5 %. No released model with both tables stored was at hand to calibrate this.

## What to do
Decide which of the two is right (mostly the one that was trained last), and tie them again or save the model as untied.

## References
Press and Wolf (2017), "Using the Output Embedding to Improve Language Models".
"""

import re
from collections.abc import Iterator

import numpy as np

from weightsmith.rules.finding import Finding
from weightsmith.rules.matrices import is_float
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sources import Weight

THRESHOLDS = {"difference": 0.05}
_INPUT = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|shared|token_embedding)\.weight$")
_OUTPUT = re.compile(r"(^|\.)(lm_head|decoder|output|embed_out|head|predictions\.decoder)\.weight$")


def look(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each pair of tables that nearly agree."""
    limit = subject.threshold(rule, "difference")
    weights = [weight for weight in subject.require_weights().values() if len(weight.shape) == 2 and is_float(weight)]
    inputs = [weight for weight in weights if _INPUT.search(weight.name)]
    outputs = [weight for weight in weights if _OUTPUT.search(weight.name)]
    pairs = [(a, b) for a in inputs for b in outputs if a.shape == b.shape and a.name not in (b.name, b.info.tied_to)]
    if not pairs:
        raise NotCheckedError("there is no output layer of the shape of an embedding, beside that embedding")
    for table, head in pairs:
        if subject.sketch(table).non_finite or subject.sketch(head).non_finite:
            subject.skip(rule, head.name, "one of the two tables holds NaN or infinity")
            continue
        difference, changed = _compare(table, head)
        if difference == float("inf"):
            subject.skip(rule, head.name, "the two tables cannot be read side by side")
        if 0 < difference < limit:
            yield rule.finding(
                f"It differs from {table.name} in {changed} of {table.size} values but by only {difference:.2%} of its "
                "norm: the two were one.",
                "Keep the one that was trained last and tie them again, or save the model as untied on purpose.",
                {"difference": difference, "changed": changed, "values": table.size, "threshold": limit},
                weight=head.name,
            )


def _compare(table: Weight, head: Weight) -> tuple[float, int]:
    """Norm of the difference over the norm of the table, and how many values differ; infinite where not comparable."""
    squares = distance = 0.0
    changed = 0
    for one, other in zip(table.blocks(), head.blocks(), strict=False):
        if one.size != other.size:
            return float("inf"), 0
        first, second = one.astype(np.float64), other.astype(np.float64)
        changed += int(np.count_nonzero(first != second))
        with np.errstate(over="ignore"):
            squares += float(np.square(first).sum())
            distance += float(np.square(first - second).sum())
    return ((distance / squares) ** 0.5 if squares > 0 else 0.0), changed
