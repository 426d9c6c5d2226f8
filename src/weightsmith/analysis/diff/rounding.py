"""Values that were rounded to a narrower type and stored in the wider one again."""

import itertools

import ml_dtypes
import numpy as np

from weightsmith.analysis.diff.stream import Run, over_runs
from weightsmith.sources import Weight, read_range

NARROWER = {"float64": ("float32", "bfloat16", "float16"), "float32": ("bfloat16", "float16")}

LOOKED_AT = 4096
"""Values by which most weights show that no rounding happened."""


def rounded_through(before: Weight, after: Weight, threads: int | None = None) -> str | None:
    """The type whose nearest number to the earlier value each later value is, stored as wide as before; None for none.

    Reads both a second time only where the first values agree.
    """
    if before.dtype != after.dtype or before.shape != after.shape:
        return None
    for name in NARROWER.get(after.dtype, ()):
        if _begins_rounded(after, name) and not any(over_runs(before, after, after.size, _Differs(name), threads)):
            return name
    return None


def _begins_rounded(after: Weight, name: str) -> bool:
    if after.place is not None:
        values = read_range(after.place, 0, min(after.size, LOOKED_AT))
    else:
        values = next(itertools.chain(after.blocks(), [np.empty(0, after.dtype)]))[:LOOKED_AT]
    return np.array_equal(_rounded(values, name), values, equal_nan=True)


class _Differs:
    """Whether a run holds values that rounding does not explain."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, run: Run) -> bool:
        return not np.array_equal(_rounded(run.raw_before, self._name), run.raw_after, equal_nan=True)


def _rounded(values: np.ndarray, name: str) -> np.ndarray:
    narrow = ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)
    with np.errstate(all="ignore"):
        return values.astype(narrow).astype(values.dtype)
