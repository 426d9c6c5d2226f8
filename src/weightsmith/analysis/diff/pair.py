"""Which weight of one source is which of another: by name, else by content, else by what the names share."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from weightsmith.analysis.diff.resemble import resembling
from weightsmith.sources import Source, Weight

Content = Callable[[Weight], Hashable]


@dataclass
class Pairs:
    """The two sources, matched.

    Attributes:
        found: pairs with how each was matched, in the order of the first source.
        removed: weights of the first source that match none.
        added: weights of the second source that match none.
    """

    found: list[tuple[Weight, Weight, str]] = field(default_factory=list)
    removed: list[Weight] = field(default_factory=list)
    added: list[Weight] = field(default_factory=list)


def pair(before: Source, after: Source, values: Content) -> Pairs:
    """Match the weights of two sources.

    In this order: equal names; equal bytes under another name; equal names once the one prefix that most of the rest
    lack is taken off (`module.`, `model.`); equal values in any arrangement (a transposed or reordered weight); nearly
    equal values in one shape (renamed and trained on). Of several candidates the one whose name ends most alike is
    taken.

    Args:
        before: one source.
        after: the other.
        values: what is equal for two weights that hold the same values in any order, such as a hash of their counts;
            asked only of weights that nothing else matched.
    """
    pairs = Pairs()
    pairs.found = [(before[name], after[name], "name") for name in before if name in after]
    pairs.removed = [weight for name, weight in before.items() if name not in after]
    pairs.added = [weight for name, weight in after.items() if name not in before]
    _match(pairs, "content", lambda weight: (weight.dtype, weight.shape), _digest)
    for drop_before, drop_after in _prefixes(pairs):
        _match(
            pairs,
            "name without its prefix",
            lambda weight: len(weight.shape),
            lambda weight: weight.name,
            renamed=(drop_before, drop_after),
        )
    _match(pairs, "values", lambda weight: weight.size, values)
    _keep(pairs, [(old, new, "similar values") for old, new in resembling(pairs.removed, pairs.added)])
    order = {name: index for index, name in enumerate(before)}
    pairs.found.sort(key=lambda found: order[found[0].name])
    return pairs


def _digest(weight: Weight) -> Hashable:
    return weight.digest()


def _match(
    pairs: Pairs,
    how: str,
    cheap: Content,
    exact: Content,
    renamed: tuple[str, str] = ("", ""),
) -> None:
    """Move to `found` what agrees in `exact`, which is asked only where the `cheap` key occurs on both sides."""
    both = {cheap(weight) for weight in pairs.removed} & {cheap(weight) for weight in pairs.added}
    waiting: dict[Hashable, list[Weight]] = defaultdict(list)
    for weight in pairs.added:
        if weight.size and cheap(weight) in both:
            waiting[cheap(weight), _key(weight, exact, renamed[1])].append(weight)
    if not waiting:
        return
    matches = []
    for weight in pairs.removed:
        known = weight.size and cheap(weight) in both
        candidates = waiting.get((cheap(weight), _key(weight, exact, renamed[0]))) if known else None
        if candidates:
            match = max(candidates, key=lambda candidate: _common_ending(weight.name, candidate.name))
            candidates.remove(match)
            matches.append((weight, match, how))
    _keep(pairs, matches)


def _keep(pairs: Pairs, matches: list[tuple[Weight, Weight, str]]) -> None:
    """Move matches from what only one side has to `found`."""
    matched = {id(weight) for old, new, _ in matches for weight in (old, new)}
    pairs.found += matches
    pairs.removed = [weight for weight in pairs.removed if id(weight) not in matched]
    pairs.added = [weight for weight in pairs.added if id(weight) not in matched]


def _key(weight: Weight, exact: Content, prefix: str) -> Hashable:
    found = exact(weight)
    return found.removeprefix(prefix) if isinstance(found, str) and prefix else found


def _common_ending(one: str, other: str) -> int:
    return next((i for i, (a, b) in enumerate(zip(one[::-1], other[::-1], strict=False)) if a != b), 0)


def _prefixes(pairs: Pairs) -> list[tuple[str, str]]:
    """The prefix that, taken off one side, makes most names equal; none where it helps fewer than two."""
    removed, added = {weight.name for weight in pairs.removed}, {weight.name for weight in pairs.added}
    best = _best_prefix(removed, added)
    if best:
        return [(best, "")]
    best = _best_prefix(added, removed)
    return [("", best)] if best else []


def _best_prefix(longer: Iterable[str], shorter: set[str]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for name in longer:
        parts = name.split(".")
        for cut in range(1, min(len(parts), 6)):
            if ".".join(parts[cut:]) in shorter:
                counts[".".join(parts[:cut]) + "."] += 1
    best = max(counts, key=lambda prefix: counts[prefix], default="")
    return best if best and (counts[best] > 1 or len(shorter) == 1) else ""
