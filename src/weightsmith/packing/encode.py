"""From values to parts: one function a format. Nothing is rounded unless the caller names a smaller type."""

from typing import Any

import numpy as np

from weightsmith.errors import InputError
from weightsmith.kernels.bits import pack_rows
from weightsmith.names import choose
from weightsmith.packing.content import as_matrix, bit_scale, cast, shortened, sign_scale, survive, three_scale
from weightsmith.packing.encoded import (
    ALPHABETS,
    FORMATS,
    MOST_COLUMNS,
    SKIP,
    VALUES,
    Alphabet,
    Array,
    Encoded,
    Floats,
    Format,
    Values,
)


def encode(
    weight: Array, form: Format | None = None, *, values: Values | None = None, alphabet: Alphabet | None = None
) -> Encoded:
    """Pack a weight.

    Zero is zero: the sign of -0 is not kept. Scales are found in the weight: none where the magnitude is 1, one where
    all rows share it, else one for each row.

    Args:
        weight: of any shape; floats of any size whose values float32 holds.
        form: one of `FORMATS`; by default the smallest that loses nothing.
        values: how the values of sparse and dense weights are kept: `float32`, `float16`, `bfloat16` (both round), or
            `signs`, where those that are not zero have one magnitude in all or in each row. By default the smallest
            that loses nothing; of `dense`, the type that they have.
        alphabet: of `binary`; by default `signs` where that is possible, else `bits`.

    Raises:
        InputError: an unknown name; a weight that the format cannot hold, with the reason.
    """
    if form is None:
        from weightsmith.packing.smallest import smallest

        if values == "signs":
            raise InputError("signs are of binary and sparse formats: name one")
        return smallest(weight, values=values).encoded
    choose(form, FORMATS, "format")
    if values is not None:
        choose(values, VALUES, "type of values")
    if alphabet is not None:
        choose(alphabet, ALPHABETS, "alphabet")
    shape = tuple(weight.shape)
    if form == "dense":
        return Encoded("dense", shape, {"": _dense(weight, values)})
    matrix = as_matrix(weight)
    if form == "binary":
        return _binary(matrix, shape, alphabet)
    if form == "ternary":
        return _ternary(matrix, shape)
    makers = {"bitmask": _bitmask, "csr": _csr, "gaps": _gaps, "fan_in": _fan_in}
    return Encoded(form, shape, makers[form](matrix, values))


def _dense(weight: Array, values: Values | None) -> Array:
    if values == "signs":
        raise InputError("a dense weight has no signs alone: pack it as binary")
    return np.asarray(weight, order="C") if values is None else rounded(weight, values)


def rounded(values: Array, name: str) -> Array:
    """The values as another float type.

    Raises:
        InputError: a finite value is too large for it.
    """
    found = cast(values, name)
    wide = values.astype(np.float32)
    if np.any(np.isinf(found.astype(np.float32)) & np.isfinite(wide)):
        most = np.abs(wide[np.isfinite(wide)]).max()
        wider = "bfloat16" if name == "float16" else "float32"
        raise InputError(f"values up to {most:.3g} overflow {name}: keep them as {wider}")
    return found


def _binary(matrix: Array, shape: tuple[int, ...], alphabet: Alphabet | None) -> Encoded:
    if alphabet != "bits" and (scale := sign_scale(matrix)) is not None:
        bits = pack_rows((matrix > 0) | (scale[:, None] == 0))  # in a row of zeros all are plus zero
        empty = np.full(len(matrix), not matrix.shape[1])
        return Encoded("binary", shape, {"bits": bits, **shortened(scale, empty)}, "signs")
    if alphabet != "signs" and (scale := bit_scale(matrix)) is not None:
        return Encoded("binary", shape, {"bits": pack_rows(matrix != 0), **shortened(scale, scale == 0)}, "bits")
    what = {"signs": "-1 and +1", "bits": "0 and 1", None: "-1 and +1, or 0 and 1"}[alphabet]
    raise InputError(f"the values are not {what} times one factor for all or for each row: not binary")


def _ternary(matrix: Array, shape: tuple[int, ...]) -> Encoded:
    scale = three_scale(matrix)
    if scale is None:
        raise InputError("the values are not -1, 0 and +1 times one factor for all or for each row: not ternary")
    planes = {"plus": pack_rows(matrix > 0), "minus": pack_rows(matrix < 0)}
    return Encoded("ternary", shape, {**planes, **shortened(scale, scale == 0)})


def _bitmask(matrix: Array, values: Values | None) -> dict[str, Array]:
    kept = matrix != 0
    return {"mask": pack_rows(kept), **_kept(matrix, kept, values)}


def _csr(matrix: Array, values: Values | None) -> dict[str, Array]:
    _check_columns(matrix)
    kept = matrix != 0
    pointers = np.zeros(len(matrix) + 1, np.int64)
    np.cumsum(kept.sum(axis=1, dtype=np.int64), out=pointers[1:])
    columns = np.nonzero(kept)[1].astype(np.uint16)
    return {"pointers": pointers.astype(pointer_type(columns.size)), "columns": columns, **_kept(matrix, kept, values)}


def _gaps(matrix: Array, values: Values | None) -> dict[str, Array]:
    kept = matrix != 0
    skips, rest = np.divmod(gaps_between(matrix), SKIP)
    gaps = np.full(rest.size - 1 + int(skips.sum()), SKIP, np.uint8)  # the zeros behind the last value need no rest
    gaps[np.cumsum(skips[:-1] + 1) - 1] = rest[:-1]
    return {"gaps": gaps, **_kept(matrix, kept, values)}


def gaps_between(matrix: Array) -> Array:
    """How many zeros are before each value that is none, all rows as one, and behind the last: int64[nnz + 1]."""
    places = np.flatnonzero(matrix)
    return np.diff(places, prepend=-1, append=matrix.size) - 1


def pointer_type(count: int) -> "np.dtype[Any]":
    """The smallest unsigned type that counts so far."""
    return np.min_scalar_type(count)


def _fan_in(matrix: Array, values: Values | None) -> dict[str, Array]:
    _check_columns(matrix)
    if not matrix.shape[1]:
        raise InputError("a weight without columns has no fan-in: pack it as a bitmask")
    kept = matrix != 0
    counts = kept.sum(axis=1, dtype=np.int64)
    most = max(1, int(counts.max(initial=0)))
    short = np.flatnonzero(counts < most)
    if values == "signs" and short.size:
        raise InputError("rows with fewer weights than others need zeros, which signs do not have: pack it as csr")
    for row in short:  # filled up with zeros at its first free places
        kept[row, np.flatnonzero(~kept[row])[: most - counts[row]]] = True
    columns = np.nonzero(kept)[1].astype(np.uint16).reshape(len(matrix), most)
    parts = _kept(matrix, kept, values, may_sign=not short.size)
    if "values" in parts:
        parts["values"] = parts["values"].reshape(columns.shape)
    return {"columns": columns, **parts}


def _check_columns(matrix: Array) -> None:
    if matrix.shape[1] > MOST_COLUMNS:
        raise InputError(
            f"{matrix.shape[1]} columns are more than 16 bits reach ({MOST_COLUMNS}): pack it as a bitmask"
        )


def _kept(matrix: Array, kept: Array, values: Values | None, *, may_sign: bool = True) -> dict[str, Array]:
    """The parts that hold the values at these places."""
    found = matrix[kept]
    scale = three_scale(matrix) if may_sign and values in (None, "signs") else None
    if scale is not None:
        return {"signs": pack_rows(found[None] > 0)[0], **shortened(scale, scale == 0)}
    if values == "signs":
        raise InputError("the values that are not zero have several magnitudes in a row: signs alone cannot hold them")
    return {"values": rounded(found, values or lossless_type(found))}


def lossless_type(values: Array) -> Floats:
    """The smallest float type that holds all values."""
    order: tuple[Floats, ...] = ("bfloat16", "float16", "float32")
    return next(name for name in order if survive(values, name))
