"""What the pass finds out about the values of one weight, whatever it is called and wherever it lies."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightsmith.sketch import Sketch


@dataclass(frozen=True)
class Record:
    """The part of a `Summary` that follows from the values alone and so may be kept in the cache."""

    sketch: "Sketch | None" = None
    effective_bits: int | float | None = None
    digest: str | None = None
    reason: str | None = None
