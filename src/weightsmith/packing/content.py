"""What the values of a weight are: two of them, three, mostly zeros; told from the values alone, and exactly."""

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from weightsmith.errors import InputError
from weightsmith.packing.encoded import Array, matrix_shape

_BLOCK = 1 << 20
"""Elements that are looked at in one go: most weights are told apart by their first few."""

_FLOATS = {"float32": np.dtype(np.float32), "float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type can be packed; `ml_dtypes` floats are of kind V."""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def as_matrix(values: Array) -> Array:
    """The values as float32[rows, columns].

    Raises:
        InputError: they are no floats, or float64 values that float32 does not hold.
    """
    if not is_float(values.dtype):
        raise InputError(f"only floats can be packed, and these are {values.dtype.name}: leave them as they are")
    found = np.ascontiguousarray(cast(values, "float32")).reshape(matrix_shape(values.shape))
    if values.dtype == np.float64 and not _same(found, values.reshape(found.shape)):
        raise InputError("float64 values that float32 does not hold cannot be packed: convert them first")
    return found


def cast(values: Array, name: str) -> Array:
    """The values as another float type; what is too large for it becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return values.astype(_FLOATS[name], copy=False)


def survive(values: Array, name: str) -> bool:
    """Whether float32 values come back unchanged from another float type; NaN counts as one value."""
    flat = values.reshape(-1)
    parts = (flat[at : at + _BLOCK] for at in range(0, flat.size, _BLOCK))
    return all(_same(part, cast(part, name).astype(np.float32)) for part in parts)


def _same(one: Array, other: Array) -> bool:
    return bool(np.all((one == other) | ((one != one) & (other != other))))


def sign_scale(matrix: Array) -> Array | None:
    """The one magnitude of each row where all its values have it: float32[rows]; None where any row has more."""
    found = _magnitude(matrix)
    return found if _all_rows(matrix, found, lambda part, scale: np.abs(part) == scale) else None


def three_scale(matrix: Array) -> Array | None:
    """The one magnitude of each row beside zero: float32[rows], 0 in rows of zeros; None where any row has more."""
    found = _magnitude(matrix)
    return found if _all_rows(matrix, found, lambda part, scale: (np.abs(part) == scale) | (part == 0)) else None


def bit_scale(matrix: Array) -> Array | None:
    """The one value of each row beside zero, of either sign: float32[rows], as `three_scale`."""
    high, low = matrix.max(axis=1, initial=0), matrix.min(axis=1, initial=0)
    found = np.where(high > 0, high, low)
    return found if _all_rows(matrix, found, lambda part, scale: (part == scale) | (part == 0)) else None


def _magnitude(matrix: Array) -> Array:
    found: Array = np.maximum(matrix.max(axis=1, initial=0), -matrix.min(axis=1, initial=0))
    return found


def _all_rows(matrix: Array, scale: Array, holds: Callable[[Array, Array], Array]) -> bool:
    step = max(1, _BLOCK // max(1, matrix.shape[1]))
    starts = range(0, len(matrix), step)
    return all(np.all(holds(matrix[at : at + step], scale[at : at + step, None])) for at in starts)


def shortened(scale: Array, free: Array) -> dict[str, Array]:
    """The part `scale` of a packed weight: none where it is 1, one number where it is the same for all rows.

    Args:
        scale: float32[rows].
        free: bool[rows], rows without any weight for it to multiply.
    """
    used = scale[~free]
    first = used[:1] if used.size else np.ones(1, np.float32)
    if np.all(used == first):
        return {} if first[0] == 1 else {"scale": first.copy()}
    return {"scale": scale}
