"""What a scan gives: one summary per weight, in the order of the source."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
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
