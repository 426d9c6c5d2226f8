"""The whole comparison: match the weights, compare each pair in one pass, and say what happened."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from html import escape
from typing import Any

from weightsmith.analysis.diff.change import Change, change_between
from weightsmith.analysis.diff.pair import pair
from weightsmith.analysis.diff.reorder import Order, arranged, followed
from weightsmith.analysis.diff.verdict import verdict
from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.sources import Source, Weight
from weightsmith.weight import WeightInfo

Progress = Callable[[int, int, str], None]
"""Called with the bytes read so far, all bytes to read, and the name of the weight that follows."""


@dataclass(frozen=True)
class Diff:
    """What changed between two sources.

    Attributes:
        before: label of the first.
        after: label of the second.
        changes: one for each pair of matched weights, in the order of the first source.
        removed: weights that only the first has.
        added: weights that only the second has.
        verdict: what happened, in a sentence or two.
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    removed: tuple[WeightInfo, ...]
    added: tuple[WeightInfo, ...]
    verdict: str

    @property
    def same(self) -> bool:
        """Whether both hold the very same weights under the same names."""
        unchanged = all(change.relation == "identical" and not change.renamed for change in self.changes)
        return unchanged and not self.removed and not self.added

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "before": self.before,
            "after": self.after,
            "verdict": self.verdict,
            "same": self.same,
            "tensors": [change.to_json() for change in self.changes],
            "removed": [info.to_json() for info in self.removed],
            "added": [info.to_json() for info in self.added],
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(printable(change.after.name))}</td><td>{change.relation}</td>"
            f"<td>{change.relative:.3g}</td><td>{change.cosine:.4f}</td><td>{escape(change.reason or '')}</td></tr>"
            for change in self.changes
            if change.relation != "identical"
        )
        head = "<tr><th>weight</th><th>what</th><th>relative change</th><th>cosine</th><th>remark</th></tr>"
        return f"<p>{escape(printable(self.verdict))}</p><table>{head}{rows}</table>"


def diff(before: Source, after: Source, threads: int | None = None, progress: Progress | None = None) -> Diff:
    """Compare two sources of weights, of any formats, without holding either in memory.

    Args:
        before: what there was.
        after: what there is.
        threads: most threads to use; by default all the process may use.
        progress: see `Progress`.

    Raises:
        SourceError: a file became shorter or is damaged.
    """
    pairs = pair(before, after, _values)
    everything = sum(old.nbytes + new.nbytes for old, new, _ in pairs.found)
    done = 0
    changes: list[Change] = []
    orders: dict[str, Order] = {}
    for old, new, matched in pairs.found:
        if progress is not None:
            progress(done, everything, new.name)
        change, order = _changed(old, new, matched, threads)
        changes.append(change)
        if order is not None:
            orders[_layer(old.name)] = order
        done += old.nbytes + new.nbytes
    if progress is not None:
        progress(done, everything, "")
    for index, (old, new, _) in enumerate(pairs.found):
        if len(old.shape) == 1 and _layer(old.name) in orders:
            changes[index] = followed(old, new, changes[index], orders[_layer(old.name)])
    return Diff(
        before.label,
        after.label,
        tuple(changes),
        tuple(weight.info for weight in pairs.removed),
        tuple(weight.info for weight in pairs.added),
        verdict(changes, len(pairs.removed), len(pairs.added)),
    )


def _layer(name: str) -> str:
    """What a weight and its bias share of their names: `encoder.0` of `encoder.0.weight`, `dense` of `dense/kernel`."""
    return re.split(r"[./](?=[^./]*$)", name)[0]


def _changed(old: Weight, new: Weight, matched: str, threads: int | None) -> tuple[Change, Order | None]:
    try:
        return arranged(old, new, change_between(old, new, matched, threads))
    except InputError as error:
        if not _readable(old) or not _readable(new):  # one packed or damaged tensor does not spoil the comparison
            return Change(old.info, new.info, matched, "incomparable", reason=str(error)), None
        raise


def _readable(weight: Weight) -> bool:
    try:
        next(iter(weight.blocks()), None)
    except InputError:
        return False
    return True


def _values(weight: Weight) -> Hashable:
    """The same for the same values in any order, shape and lossless type; unreadable weights are like no other."""
    try:
        sketch = weight.sketch().in_float32()
    except InputError:
        return id(weight)
    return sketch.keys.tobytes(), sketch.counts.tobytes(), sketch.minimum, sketch.maximum, sketch.nan
