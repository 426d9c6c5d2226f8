"""What happened between two checkpoints, in a sentence or two."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from weightsmith.analysis.diff.change import Change, Relation
from weightsmith.names import printable

UNRELATED = 0.1
"""Median cosine below which two trainings have nothing in common but their shapes."""

SLIGHT = 0.3
"""Median relative change up to which weights were tuned rather than trained anew."""

LOW_RANK = 0.9
"""Share of the changed matrices that have to be changed by few dimensions for the whole to be a low-rank update."""

MATCHED = 0.5
"""Share of the smaller side's weights that have to be matched for the two to be called the same architecture."""


def verdict(changes: Sequence[Change], removed: int, added: int) -> str:
    """The sentence, from all matched pairs and the numbers of weights that only one side has."""
    total = len(changes) + removed + added
    if not total:
        return "Both are empty."
    smaller = len(changes) + min(removed, added)
    if not changes or len(changes) < MATCHED * smaller:
        sides = f"{len(changes) + removed} weights before and {len(changes) + added} after"
        return f"Different architectures: of {sides} {len(changes) or 'none'} have a counterpart."
    alone = bool(removed or added)
    sentences = [
        _values(changes, alone),
        _non_finite(changes),
        _shapes(changes),
        _names(changes),
        _others(removed, added),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _values(changes: Sequence[Change], alone: bool) -> str:
    kinds = Counter(change.relation for change in changes)
    total = len(changes)
    if kinds["identical"] == total and not alone:
        return f"The same weights: all {total} are equal to the last bit."
    if kinds["identical"] + kinds["reshaped"] == total:
        where = " as far as their shapes agree" if kinds["reshaped"] else ""
        return f"Nothing was trained: the {total} weights that both have are equal to the last bit{where}."
    if kinds["identical"] + kinds["converted"] == total:
        return _converted(changes, kinds)
    arrangements: tuple[Relation, ...] = "identical", "reshaped", "reordered", "transposed", "converted"
    trained_on = any(change.relation == "reordered" and change.relative > 0 for change in changes)
    if sum(kinds[kind] for kind in arrangements) == total and not trained_on:
        return _arranged(kinds, total)
    if kinds["quantized"] and not kinds["changed"]:
        return _quantized(changes, kinds, total)
    if kinds["pruned"] and kinds["identical"] + kinds["pruned"] == total:
        return _pruned(changes, kinds, total)
    return _trained(changes, kinds, total)


def _converted(changes: Sequence[Change], kinds: Counter[Relation]) -> str:
    types = Counter(
        (change.before.dtype, change.after.dtype, change.through)
        for change in changes
        if change.relation == "converted"
    )
    (old, new, through), _ = types.most_common(1)[0]
    rest = f" ({kinds['identical']} more are equal)" if kinds["identical"] else ""
    if through is not None:
        return (
            f"Rounded to {through} and stored as {new} again: in {kinds['converted']} weights every value is the "
            f"nearest one{rest}. Nothing was trained."
        )
    return (
        f"A conversion from {old} to {new}: in {kinds['converted']} weights every value is the nearest one{rest}. "
        "Nothing was trained."
    )


def _arranged(kinds: Counter[Relation], total: int) -> str:
    arrangements: tuple[Relation, ...] = "reordered", "transposed", "converted", "reshaped"
    parts = [f"{kinds[kind]} {kind}" for kind in arrangements if kinds[kind]]
    rest = f", {kinds['identical']} equal" if kinds["identical"] else ""
    return f"The same values in another arrangement: of {total} weights {', '.join(parts)}{rest}."


def _quantized(changes: Sequence[Change], kinds: Counter[Relation], total: int) -> str:
    types = Counter((change.before.dtype, change.after.dtype) for change in changes if change.relation == "quantized")
    (old, new), _ = types.most_common(1)[0]
    rest = "".join(f"; {count} {kind}" for kind, count in kinds.most_common() if kind != "quantized")
    verb = "Quantized" if new.startswith(("int", "uint")) else "Dequantized"
    return f"{verb}: {kinds['quantized']} of {total} weights went from {old} to {new}{rest}."


def _pruned(changes: Sequence[Change], kinds: Counter[Relation], total: int) -> str:
    cut = [change for change in changes if change.relation == "pruned"]
    zeroed = sum(change.zeroed * change.compared for change in cut) / sum(change.compared for change in cut)
    return (
        f"Pruned: in {kinds['pruned']} of {total} weights {zeroed:.1%} of the values became zero, and no other changed."
    )


def _trained(changes: Sequence[Change], kinds: Counter[Relation], total: int) -> str:
    changed = [
        change
        for change in changes
        if change.relation == "changed" or (change.relation == "reordered" and change.relative > 0)
    ]
    measured = [change for change in changed if np.isfinite(change.relative)]
    if not measured:
        return f"Of {total} weights: {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}."
    if not any(change.relative for change in measured):
        return f"Only values that are not finite differ, in {len(measured)} of {total} weights."
    relative = float(np.median([change.relative for change in measured]))
    cosine = float(np.nanmedian([change.cosine for change in measured]))
    rest = "".join(f"; {count} {kind}" for kind, count in kinds.most_common() if kind != "changed")
    ranks = [change.rank for change in changed if change.rank is not None]
    low = [found.rank for found in ranks if found.low]
    if low and len(low) >= LOW_RANK * len(ranks):
        span = f"rank {min(low)}" if min(low) == max(low) else f"rank {min(low)} to {max(low)}"
        return (
            f"A low-rank update, as LoRA makes: {len(low)} of {total} weights changed by matrices of {span}, by "
            f"{relative:.2%} of their norm in the median{rest}."
        )
    if cosine < UNRELATED:
        return (
            f"Another training of the same architecture: {len(changed)} of {total} weights have nothing in common but "
            f"their shape (cosine {cosine:.3f} in the median){rest}."
        )
    furthest = max(measured, key=lambda change: change.relative)
    kind = "Tuned further" if relative <= SLIGHT else "Trained on, far from where it was"
    return (
        f"{kind}: {len(changed)} of {total} weights changed, by {relative:.2%} of their norm in the median "
        f"(at most {furthest.relative:.2%}, in {printable(furthest.after.name)}){rest}."
    )


def _non_finite(changes: Sequence[Change]) -> str:
    broken = [change for change in changes if change.non_finite]
    if not broken:
        return ""
    names = ", ".join(printable(change.after.name) for change in broken[:3]) + ", ..." * (len(broken) > 3)
    return f"{len(broken)} {'holds' if len(broken) == 1 else 'hold'} NaN or Inf ({names})."


def _shapes(changes: Sequence[Change]) -> str:
    grown = [change for change in changes if change.reshaped and change.relation != "transposed"]
    if not grown:
        return ""
    first = grown[0]
    return (
        f"{len(grown)} {'has' if len(grown) == 1 else 'have'} another shape ({printable(first.after.name)}: "
        f"{list(first.before.shape)} became {list(first.after.shape)})."
    )


def _names(changes: Sequence[Change]) -> str:
    renamed = [change for change in changes if change.renamed]
    if not renamed:
        return ""
    example = renamed[0]
    return (
        f"{len(renamed)} {'has' if len(renamed) == 1 else 'have'} another name "
        f"({printable(example.before.name)} is now {printable(example.after.name)})."
    )


def _others(removed: int, added: int) -> str:
    parts = [f"{count} {word}" for count, word in ((removed, "removed"), (added, "added")) if count]
    return f"{' and '.join(parts)}.".capitalize() if parts else ""
