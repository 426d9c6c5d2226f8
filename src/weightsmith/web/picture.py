"""What the picture of a matrix shows: the matrix as the file has it, or its rows and columns in another order."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from weightsmith.analysis.arranged import Order


@dataclass(frozen=True)
class Picture:
    """How a matrix is shown.

    Attributes:
        rows: the order of its rows; None for the file's own.
        columns: likewise.
    """

    rows: Order | None = None
    columns: Order | None = None


AS_IT_IS = Picture()


def _asked(rows: Order | None = None, columns: Order | None = None) -> Picture:
    return Picture(rows, columns)


Asked = Annotated[Picture, Depends(_asked)]
"""For the parameter of a route that shows a matrix: `rows` and `columns` of its address."""
