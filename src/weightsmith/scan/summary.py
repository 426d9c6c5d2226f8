"""What a scan gives: one summary per weight, in the order of the source."""

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Final

from weightsmith.names import printable
from weightsmith.sources import Aside
from weightsmith.weight import WeightInfo

if TYPE_CHECKING:
    from weightsmith.sketch import Sketch


@dataclass(frozen=True)
class Summary:
    """One weight after the pass.

    Attributes:
        info: its name, shape, dtype and role.
        nbytes: bytes that it takes where it is kept.
        sketch: its distribution; None where it could not be read. Tied weights share the one of the first.
        effective_bits: the fewest bits per value that hold every value exactly: see `bits.effective_bits`; of packed
            types no more than they take.
        digest: hash of its values, as `Weight.digest` gives it; None where nothing asked for it.
        reason: why there are no statistics, or None where there are.
    """

    info: WeightInfo
    nbytes: int
    sketch: "Sketch | None" = None
    effective_bits: int | float | None = None
    digest: str | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """Its dotted name, as the source gives it: use `printable` before showing it."""
        return self.info.name

    @property
    def tied(self) -> bool:
        """Whether its values are those of an earlier weight and so count once in totals."""
        return self.info.tied_to is not None


SHOWN: Final = ("name", "shape", "dtype", "role", "mean", "std", "min", "max", "sparsity", "nan", "inf")
"""Columns that a notebook shows."""

_MOST: Final = 100
"""Weights that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Scan:
    """All weights of a source after one pass.

    Attributes:
        label: what people call the source.
        file_format: name of its format; empty for a live model.
        summaries: one per weight, in the order of the source.
        aside: what the source holds beside weights.
        cached: whether the statistics come from an earlier scan of the same content.
        seconds: how long the pass took.
        remark: what a user should know about the scan itself, in a line: why it was not cached.
    """

    label: str
    file_format: str
    summaries: tuple[Summary, ...]
    aside: tuple[Aside, ...] = ()
    cached: bool = False
    seconds: float = 0.0
    remark: str | None = field(default=None, compare=False)

    @cached_property
    def sketches(self) -> "dict[str, Sketch]":
        """Name to sketch, of all weights that could be read."""
        return {summary.name: summary.sketch for summary in self.summaries if summary.sketch is not None}

    @property
    def unread(self) -> tuple[Summary, ...]:
        """The weights without statistics; each has a reason."""
        return tuple(summary for summary in self.summaries if summary.reason is not None)

    def __repr__(self) -> str:
        how = "cached" if self.cached else f"{self.seconds:.2f} s"
        unread = f", {len(self.unread)} not read" if self.unread else ""
        return f"<Scan of {printable(self.label)}: {len(self.summaries)} weights{unread}, {how}>"

    def _repr_html_(self) -> str:
        from weightsmith.scan.table import rows

        cells = [
            "".join(f"<td>{escape(_text(value))}</td>" for value in entry.values())
            for entry in rows(self.summaries[:_MOST], SHOWN)
        ]
        head = "".join(f"<th>{name}</th>" for name in SHOWN)
        table = "".join(f"<tr>{line}</tr>" for line in (head, *cells))
        more = f"<p>and {len(self.summaries) - _MOST} more</p>" if len(self.summaries) > _MOST else ""
        return f"<p>{escape(repr(self))}</p><table>{table}</table>{more}"


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))
