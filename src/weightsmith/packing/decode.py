"""From parts back to values, whole or a few rows at a time."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from weightsmith.kernels.bits import unpack_rows
from weightsmith.packing.check import ONES, check_encoded
from weightsmith.packing.encoded import SKIP, Array, Encoded

BLOCK = 1 << 22
"""Elements that `blocks` hands out at a time, at most."""


def decode(encoded: Encoded) -> Array:
    """The values of a packed weight.

    Where a bit or mask says that a weight is zero it is +0, whatever its scale, so that a scale of NaN or infinity
    reaches only the weights that it multiplies.

    Returns:
        float32[shape].

    Raises:
        SourceError: its parts do not fit together (`check_encoded`).
    """
    found = np.empty(encoded.layout.size, np.float32)
    at = 0
    for block in blocks(encoded):
        found[at : at + block.size] = block
        at += block.size
    return found.reshape(encoded.shape)


def blocks(encoded: Encoded) -> Iterator[Array]:
    """The same values in C order, as float32 arrays of at most `BLOCK` elements.

    Raises:
        SourceError: as `decode`, before the first.
    """
    check_encoded(encoded)
    if not encoded.layout.size:  # may have any number of rows
        return
    if encoded.format == "dense":
        flat = encoded.tensors[""].reshape(-1)
        for at in range(0, flat.size, BLOCK):
            yield flat[at : at + BLOCK].astype(np.float32)
        return
    if encoded.format == "gaps":
        encoded = _with_columns(encoded)
    rows, columns = encoded.matrix
    offsets = _offsets(encoded)
    step = max(1, BLOCK // columns)
    for start in range(0, rows, step):
        flat = _rows(encoded, offsets, start, min(rows, start + step)).reshape(-1)
        for at in range(0, flat.size, BLOCK):
            yield flat[at : at + BLOCK]


def places_of(gaps: Array) -> Array:
    """Where the values are that gaps lead to, all rows as one: int64[nnz]."""
    steps = gaps.astype(np.int64)
    steps[gaps != SKIP] += 1
    places: Array = np.cumsum(steps)[gaps != SKIP] - 1
    return places


def _with_columns(encoded: Encoded) -> Encoded:
    """The same with pointers and columns instead of gaps, of as many columns as there are."""
    rows, columns = encoded.matrix
    places = places_of(encoded.tensors["gaps"])
    pointers = np.searchsorted(places, np.arange(rows + 1, dtype=np.int64) * columns)
    parts = {name: part for name, part in encoded.tensors.items() if name != "gaps"}
    return replace(encoded, format="csr", tensors={"pointers": pointers, "columns": places % columns, **parts})


def _offsets(encoded: Encoded) -> Array:
    """Where each row's values start among all, and where the last ends: int64[rows + 1]; of no use to bit planes."""
    rows, _ = encoded.matrix
    if encoded.format == "csr":
        return np.array(encoded.tensors["pointers"], np.int64)
    if encoded.format == "fan_in":
        return np.arange(rows + 1, dtype=np.int64) * int(encoded.tensors["columns"].shape[1])
    offsets = np.zeros(rows + 1, np.int64)
    if encoded.format == "bitmask":
        np.cumsum(ONES[encoded.tensors["mask"]].sum(axis=1, dtype=np.int64), out=offsets[1:])
    return offsets


def _rows(encoded: Encoded, offsets: Array, start: int, stop: int) -> Array:
    """float32[stop - start, columns]."""
    tensors = encoded.tensors
    _, columns = encoded.matrix
    if encoded.format == "binary":
        scale = _scale(encoded, start, stop)[:, None]
        other = -scale if encoded.alphabet == "signs" else np.float32(0)
        chosen: Array = np.where(unpack_rows(tensors["bits"][start:stop], columns), scale, other)
        return chosen
    found = np.zeros((stop - start, columns), np.float32)
    if encoded.format == "ternary":
        scale = _scale(encoded, start, stop)[:, None]
        np.copyto(found, scale, where=unpack_rows(tensors["plus"][start:stop], columns))
        np.copyto(found, -scale, where=unpack_rows(tensors["minus"][start:stop], columns))
        return found
    values = _values(encoded, offsets, start, stop)
    if encoded.format == "bitmask":
        found[unpack_rows(tensors["mask"][start:stop], columns)] = values
        return found
    places = tensors["columns"].reshape(-1)[offsets[start] : offsets[stop]]
    found[np.repeat(np.arange(stop - start), np.diff(offsets[start : stop + 1])), places] = values
    return found


def _scale(encoded: Encoded, start: int, stop: int) -> Array:
    """The factor of each row: float32[stop - start]."""
    scale = encoded.tensors.get("scale", np.ones(1, np.float32))
    return np.broadcast_to(scale, (encoded.matrix[0],))[start:stop]


def _values(encoded: Encoded, offsets: Array, start: int, stop: int) -> Array:
    """What is not zero in these rows, one after the other: float32[count]."""
    first, last = int(offsets[start]), int(offsets[stop])
    if "values" in encoded.tensors:
        return encoded.tensors["values"].reshape(-1)[first:last].astype(np.float32)
    packed = encoded.tensors["signs"][first // 8 : -(-last // 8)]
    bits = np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + last - first].view(np.bool_)
    scale = np.repeat(_scale(encoded, start, stop), np.diff(offsets[start : stop + 1]))
    chosen: Array = np.where(bits, scale, -scale)
    return chosen
