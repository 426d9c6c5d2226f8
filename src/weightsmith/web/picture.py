"""What the picture of a matrix shows: its rows and columns in some order, and what it is compared with."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query

from weightsmith.analysis.arranged import Order

Side = Literal["other", "difference"]


@dataclass(frozen=True)
class Picture:
    """How a matrix is shown.

    Attributes:
        rows: the order of its rows; None for the file's own.
        columns: likewise.
        against: id of other weights, whose one of the same name is compared with it, in this one's order.
        show: that other one, or this one less the other.
    """

    rows: Order | None = None
    columns: Order | None = None
    against: str | None = None
    show: Side = "difference"


AS_IT_IS = Picture()


def _asked(
    rows: Order | None = None,
    columns: Order | None = None,
    against: Annotated[str | None, Query(max_length=100)] = None,
    show: Side = "difference",
) -> Picture:
    return Picture(rows, columns, against, show)


Asked = Annotated[Picture, Depends(_asked)]
"""For the parameter of a route that shows a matrix: `rows`, `columns`, `against` and `show` of its address."""
