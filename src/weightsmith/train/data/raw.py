"""What every reader returns: the rows of a source before they are split and scaled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray
from scipy.sparse import csr_array

Rows = NDArray[Any] | csr_array


@dataclass(frozen=True, eq=False)
class Raw:
    """A source as read.

    Attributes:
        name: the file, folder or set, for messages.
        inputs: (rows, features), (rows, time, features) or (rows, channels, height, width).
        targets: (rows,) labels or numbers; (rows, values) for several values at once.
        layout: what a row is.
        test: inputs and targets of a test set that the source itself publishes.
        feature_names: of the columns.
        class_names: name of each integer label, where labels are 0, 1, 2, ...
        levels: column of categories -> their names; the column holds each row's place in them, NaN for none.
        task: fixed by what the source is; None: inferred from the targets.
    """

    name: str
    inputs: Rows
    targets: NDArray[Any]
    layout: Literal["features", "sequence", "image"] = "features"
    test: tuple[Rows, NDArray[Any]] | None = None
    feature_names: Sequence[str] | None = None
    class_names: Sequence[str] | None = None
    levels: Mapping[int, Sequence[str]] = field(default_factory=dict)
    task: Literal["classification", "regression"] | None = None
