"""What became of one weight."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.diff.rank import ChangeRank, change_rank
from weightsmith.analysis.diff.rounding import rounded_through
from weightsmith.analysis.diff.stream import IncomparableError, Run, over_runs
from weightsmith.sources import Weight
from weightsmith.weight import WeightInfo

if TYPE_CHECKING:
    from weightsmith.kernels.compare import Comparison

Relation = Literal[
    "identical",
    "reshaped",
    "converted",
    "quantized",
    "pruned",
    "changed",
    "transposed",
    "reordered",
    "incomparable",
]

QUANTIZED = 0.8
"""Least cosine of floats with the whole numbers they were quantized to; a scale for each row keeps it below one."""

TOP_ROWS = 5
"""Rows named for each changed weight."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class RowChange:
    """How far one row (one slice along the first axis: a neuron, a filter, a token) moved.

    Attributes:
        row: its index.
        change: norm of its difference.
        relative: the same, over the row's norm before; infinite where that was zero.
    """

    row: int
    change: float
    relative: float


@dataclass(frozen=True)
class Change:
    """One weight before and after.

    Attributes:
        before: what it was.
        after: what it is.
        matched: how the two were found to be the same weight: `name`, `content`, `name without its prefix`, ...
        relation: `identical`: equal values of equal type and shape. `reshaped`: equal values in another shape, or with
            rows added or removed and all that both have equal. `converted`: of another type, each value the nearest
            one to what it was; or of the same type and each value rounded `through` a narrower one. `quantized`:
            floats on one side, whole numbers that grow with them on the other, their scale being kept elsewhere.
            `pruned`: some values became zero, no other changed. `transposed`: the same values along other axes.
            `reordered`: the same rows or columns in another order; `relative` and `cosine` then tell what changed
            beside the order. `changed`: anything else. `incomparable`: see `reason`.
        norm_before: Euclidean norm of what was compared; NaN, as all that follow, where nothing was.
        norm_after: the same, after.
        relative: norm of the difference over the norm before.
        cosine: of the angle between both, as flat vectors.
        sign_flips: share of the values whose sign changed.
        differing: share of the values that differ.
        zeroed: share of the values that became zero.
        rank: the rank of the difference, for changed matrices.
        top_rows: the rows that moved most, furthest first.
        non_finite: places at which either holds NaN or Inf; the sums leave them out.
        compared: number of values compared; fewer than there are where rows were added or removed.
        through: the narrower type that every value was rounded to before it was stored in the old type again; None
            where that did not happen.
        reason: a remark: what is special about this pair, or why it was not compared.
    """

    before: WeightInfo
    after: WeightInfo
    matched: str
    relation: Relation
    norm_before: float = math.nan
    norm_after: float = math.nan
    relative: float = math.nan
    cosine: float = math.nan
    sign_flips: float = math.nan
    differing: float = math.nan
    zeroed: float = math.nan
    rank: ChangeRank | None = None
    top_rows: tuple[RowChange, ...] = ()
    non_finite: int = 0
    compared: int = 0
    through: str | None = None
    reason: str | None = None

    @property
    def renamed(self) -> bool:
        """Whether its name changed."""
        return self.before.name != self.after.name

    @property
    def reshaped(self) -> bool:
        """Whether its shape changed."""
        return self.before.shape != self.after.shape

    @property
    def retyped(self) -> bool:
        """Whether its type changed."""
        return self.before.dtype != self.after.dtype

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the attributes; the two descriptions shortened to what can differ."""
        found = {key: value for key, value in asdict(self).items() if key not in ("before", "after")}
        for side, info in (("before", self.before), ("after", self.after)):
            found[side] = {"name": info.name, "shape": list(info.shape), "dtype": info.dtype}
        return found


def change_between(before: Weight, after: Weight, matched: str, threads: int | None = None) -> Change:
    """Compare two weights of equally many values, or of equal rows, place by place, in one pass over both.

    Where their shapes differ in the first axis alone, the rows that both have are compared.
    """
    from weightsmith.kernels.compare import total  # loads numba

    count, reason = _comparable(before, after)
    if count is None:
        return Change(before.info, after.info, matched, "incomparable", reason=reason)
    row_length = math.prod(before.shape[1:]) if len(before.shape) > 1 else max(count, 1)
    rows = -(-count // max(row_length, 1))
    squares, changes = np.zeros(rows), np.zeros(rows)
    try:
        parts = over_runs(
            before, after, count, lambda run: _part(run, row_length, before.dtype != after.dtype), threads
        )
    except IncomparableError as error:
        return Change(before.info, after.info, matched, "incomparable", reason=str(error))
    for _, first, part_squares, part_changes, _ in parts:
        squares[first : first + len(part_squares)] += part_squares[: rows - first]
        changes[first : first + len(part_changes)] += part_changes[: rows - first]
    sums = total([part[0] for part in parts])
    relation = _relation(sums, sum(part[4] for part in parts), before, after)
    through = rounded_through(before, after, threads) if relation == "changed" else None
    if through is not None:
        relation = "converted"
    moved = relation in ("changed", "pruned") and len(before.shape) > 1
    return Change(
        before.info,
        after.info,
        matched,
        relation,
        norm_before=math.sqrt(sums.square_before),
        norm_after=math.sqrt(sums.square_after),
        relative=math.nan if relation == "quantized" else _ratio(sums.square_change, sums.square_before),
        cosine=_cosine(sums),
        sign_flips=sums.sign_flips / count if count else 0.0,
        differing=sums.differing / count if count else 0.0,
        zeroed=sums.zeroed / count if count else 0.0,
        rank=change_rank(before, after, changes) if moved and relation == "changed" else None,
        top_rows=_top(squares, changes) if moved else (),
        non_finite=sums.non_finite,
        compared=count,
        through=through,
        reason=_remark(reason, sums),
    )


def _comparable(before: Weight, after: Weight) -> tuple[int | None, str | None]:
    if before.shape == after.shape:
        return before.size, None
    old, new = before.shape, after.shape
    if before.size == after.size:
        return before.size, f"reshaped from {list(old)} to {list(new)}, compared in reading order"
    if old[1:] == new[1:] and old and new:
        fewer, unit = min(old[0], new[0]), "rows" if len(old) > 1 else "values"
        word = "added" if new[0] > old[0] else "removed"
        return fewer * math.prod(old[1:]), f"{abs(new[0] - old[0]):,} {unit} {word}; the first {fewer:,} compared"
    return None, f"of shape {list(old)} before and {list(new)} after"


def _part(run: Run, row_length: int, retyped: bool) -> tuple["Comparison", int, Doubles, Doubles, int]:
    from weightsmith.kernels.compare import compare

    first, within = divmod(run.start, row_length)
    rows = -(-(within + run.before.size) // row_length)
    squares, changes = np.zeros(rows), np.zeros(rows)
    sums = compare(run.before, run.after, row_length, within, squares, changes)
    return sums, first, squares, changes, _misrounded(run) if retyped else 0


def _misrounded(run: Run) -> int:
    """How many values are not what conversion to the later type makes of the earlier ones."""
    with np.errstate(all="ignore"):
        expected = run.raw_before.astype(run.raw_after.dtype)
    wrong = expected != run.raw_after
    return int(np.count_nonzero(wrong & ~((expected != expected) & (run.raw_after != run.raw_after))))


def _relation(sums: "Comparison", misrounded: int, before: Weight, after: Weight) -> Relation:
    if before.dtype != after.dtype and not misrounded:
        return "converted"
    if not sums.differing:
        return "identical" if before.shape == after.shape else "reshaped"
    if _is_whole(before) != _is_whole(after) and _cosine(sums) >= QUANTIZED:
        return "quantized"
    return "pruned" if sums.zeroed == sums.differing else "changed"


def _is_whole(weight: Weight) -> bool:
    return weight.dtype.startswith(("int", "uint"))


def _ratio(change: float, before: float) -> float:
    if change == 0:
        return 0.0
    return math.sqrt(change / before) if before else math.inf


def _cosine(sums: "Comparison") -> float:
    scale = math.sqrt(sums.square_before) * math.sqrt(sums.square_after)
    if sums.square_change == 0:
        return 1.0
    if not scale:
        return math.nan
    return max(-1.0, min(1.0, sums.product / scale))


def _top(squares: Doubles, changes: Doubles) -> tuple[RowChange, ...]:
    order = np.argsort(-changes, kind="stable")[:TOP_ROWS]
    return tuple(
        RowChange(int(row), math.sqrt(changes[row]), _ratio(changes[row], squares[row]))
        for row in order
        if changes[row]
    )


def _remark(reason: str | None, sums: "Comparison") -> str | None:
    if not sums.non_finite:
        return reason
    places = "1 place holds" if sums.non_finite == 1 else f"{sums.non_finite:,} places hold"
    found = f"{places} NaN or Inf, left out of the sums"
    return f"{reason}; {found}" if reason else found
