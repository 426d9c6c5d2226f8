"""What must hold of a packed weight before any of its numbers is used: first its shapes, then its contents."""

from collections.abc import Mapping, Set
from typing import Final, NoReturn, Protocol

import numpy as np

from weightsmith.errors import SourceError
from weightsmith.kernels.bits import row_bytes
from weightsmith.packing.encoded import FLOATS, MOST_COLUMNS, SKIP, SPARSE, Array, Encoded, Layout

POINTERS: Final = ("uint8", "uint16", "uint32", "uint64")

_BIT_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "binary": ("bits",),
    "ternary": ("plus", "minus"),
    "bitmask": ("mask",),
    "csr": ("pointers", "columns"),
    "gaps": ("gaps",),
    "fan_in": ("columns",),
    "dense": ("",),
}
_BLOCK: Final = 1 << 24
"""Bytes or columns that are looked at in one go."""

ONES: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""Bits that are set in each byte."""


class Shaped(Protocol):
    """Anything with a type and a shape: an array, or a weight that was not read yet."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""
        ...

    @property
    def dtype(self) -> object:
        """Its type, which prints as NumPy's name."""
        ...


def parts_of(layout: Layout) -> frozenset[str]:
    """Names that parts of such a weight may have."""
    extra = {"values", "signs", "scale"} if layout.format in SPARSE else {"scale"}
    return frozenset(_BIT_PARTS[layout.format]) | (extra if layout.format != "dense" else set())


def check_layout(layout: Layout, parts: Mapping[str, Shaped]) -> None:
    """Check the names, types and shapes of the parts of a weight against what it is said to be.

    Raises:
        SourceError: any of them cannot be; the message says which, and names neither weight nor file.
    """
    rows, columns = layout.matrix
    _check_names(layout, parts.keys())
    for name in ("bits", "plus", "minus", "mask"):
        if name in parts:
            _expect(name, parts[name], ("uint8",), (rows, row_bytes(columns)))
    if "scale" in parts:
        if parts["scale"].shape not in ((1,), (rows,)):
            _refuse("scale", parts["scale"], f"[1] or [{rows}]")
        _expect("scale", parts["scale"], ("float32",), parts["scale"].shape)
    if layout.format == "dense":
        _expect("", parts[""], (str(parts[""].dtype),), layout.shape)
    elif layout.format in SPARSE:
        _check_sparse(layout, parts)


def _check_names(layout: Layout, names: Set[str]) -> None:
    wanted = set(_BIT_PARTS[layout.format])
    if layout.format in SPARSE:
        kept = {"values", "signs"} & names
        if len(kept) != 1:
            raise SourceError(f"needs either 'values' or 'signs', and has {'both' if kept else 'neither'}")
        wanted |= kept
    optional = {"scale"} if layout.format != "dense" and "values" not in names else set()
    if missing := sorted(wanted - names):
        raise SourceError(f"has no part '{missing[0]}', which {layout.format} needs")
    if extra := sorted(names - wanted - optional):
        raise SourceError(f"has a part '{extra[0]}', which {layout.format} has no use for")


def _check_sparse(layout: Layout, parts: Mapping[str, Shaped]) -> None:
    rows, columns = layout.matrix
    if columns > MOST_COLUMNS and layout.format in ("csr", "fan_in"):
        raise SourceError(f"has {columns} columns, of which 16 bits reach {MOST_COLUMNS}")
    shape: tuple[int, ...] | None = None  # of the values; only the bits of a mask tell how many there are
    if layout.format == "csr":
        _expect("pointers", parts["pointers"], POINTERS, (rows + 1,))
        if len(parts["columns"].shape) != 1:
            _refuse("columns", parts["columns"], "a list")
        shape = parts["columns"].shape
    elif layout.format == "fan_in":
        found = parts["columns"].shape
        if len(found) != 2 or found[0] != rows or not 1 <= found[1] <= columns:
            _refuse("columns", parts["columns"], f"[{rows}, 1 to {columns}]")
        shape = found
    elif layout.format == "gaps":
        if len(parts["gaps"].shape) != 1:
            _refuse("gaps", parts["gaps"], "a list")
        _expect("gaps", parts["gaps"], ("uint8",), parts["gaps"].shape)
    if "columns" in parts:
        _expect("columns", parts["columns"], ("uint16",), parts["columns"].shape)
    _check_kept(layout, parts, shape)


def _check_kept(layout: Layout, parts: Mapping[str, Shaped], shape: tuple[int, ...] | None) -> None:
    """The values or signs of a sparse weight; `shape` is theirs where it is known."""
    kept = "values" if "values" in parts else "signs"
    if len(parts[kept].shape) != (2 if layout.format == "fan_in" and kept == "values" else 1):
        _refuse(kept, parts[kept], "a list")
    if kept == "values":
        _expect(kept, parts[kept], FLOATS, shape or parts[kept].shape)
    else:
        count = None if shape is None else int(np.prod(shape, dtype=object))
        _expect(kept, parts[kept], ("uint8",), parts[kept].shape if count is None else (row_bytes(count),))


def _expect(name: str, part: Shaped, dtypes: tuple[str, ...], shape: tuple[int, ...]) -> None:
    if tuple(part.shape) != tuple(shape):
        _refuse(name, part, str(list(shape)))
    if str(part.dtype) not in dtypes:
        raise SourceError(f"has its part '{name}' as {part.dtype}, which must be {' or '.join(dtypes)}")


def _refuse(name: str, part: Shaped, wanted: str) -> NoReturn:
    raise SourceError(f"has its part '{name}' in the shape {list(part.shape)}, which must be {wanted}")


def check_encoded(encoded: Encoded) -> None:
    """Check all of a packed weight: the shapes of its parts, and every bit, pointer and column in them.

    Scales and values may be any float, NaN and infinities included.

    Raises:
        SourceError: as `check_layout`, or bits are set behind the last column, both planes have the same bit, pointers
            go backwards, columns are out of range or out of order, or there are more or fewer values than places.
    """
    check_layout(encoded.layout, encoded.tensors)
    _, columns = encoded.matrix
    for name in ("bits", "plus", "minus", "mask"):
        if name in encoded.tensors:
            _check_padding(name, encoded.tensors[name], columns)
    if encoded.format == "ternary":
        plus, minus = encoded.tensors["plus"].reshape(-1), encoded.tensors["minus"].reshape(-1)
        if any(np.any(plus[at : at + _BLOCK] & minus[at : at + _BLOCK]) for at in range(0, plus.size, _BLOCK)):
            raise SourceError("has weights that are both plus and minus")
    if encoded.format in SPARSE:
        _check_count(encoded)
    if encoded.format == "csr":
        _check_columns(encoded.tensors["columns"], encoded.tensors["pointers"][1:-1].astype(np.int64), columns)
    elif encoded.format == "fan_in":
        found = encoded.tensors["columns"]
        _check_columns(found.reshape(-1), np.arange(1, len(found), dtype=np.int64) * found.shape[1], columns)


def _check_padding(name: str, bits: Array, columns: int) -> None:
    if columns % 8 and np.any(bits[:, -1] >> (columns % 8)):
        raise SourceError(f"has bits in its part '{name}' that are set behind column {columns}")


def _check_count(encoded: Encoded) -> None:
    if encoded.format == "csr":
        pointers, columns = encoded.tensors["pointers"], encoded.tensors["columns"]
        if pointers[0] != 0 or int(pointers[-1]) != columns.size:
            raise SourceError(
                f"has row pointers from {pointers[0]} to {pointers[-1]}, which must go from 0 to {columns.size}"
            )
        if np.any(pointers[1:] < pointers[:-1]):
            row = int(np.argmax(pointers[1:] < pointers[:-1]))
            raise SourceError(f"has row pointers that go backwards at row {row}")
        count = columns.size
    elif encoded.format == "fan_in":
        count = encoded.tensors["columns"].size
    elif encoded.format == "gaps":
        count = _count_gaps(encoded)
    else:
        count = count_bits(encoded.tensors["mask"])
    if "values" in encoded.tensors:
        found = encoded.tensors["values"].size
        if found != count:
            raise SourceError(f"has {found} values for the {count} places that it names")
        return
    signs = encoded.tensors["signs"]
    if signs.size != row_bytes(count):
        raise SourceError(f"has {signs.size} bytes of signs for the {count} places that it names")
    if count % 8 and signs[-1] >> (count % 8):
        raise SourceError(f"has bits in its part 'signs' that are set behind the last of {count}")


def _count_gaps(encoded: Encoded) -> int:
    """How many values gaps lead to."""
    gaps, size = encoded.tensors["gaps"], encoded.layout.size
    count = int(np.count_nonzero(gaps != SKIP))
    reached = int(gaps.sum(dtype=np.int64)) + count
    if reached > size:
        raise SourceError(f"has gaps that lead beyond the last of its {size} places")
    if size - reached >= SKIP:  # else a few bytes could claim any shape
        raise SourceError(f"has gaps that lead no further than {reached} of its {size} places")
    return count


def count_bits(bits: Array) -> int:
    """How many bits are set."""
    flat = bits.reshape(-1)
    return sum(int(ONES[flat[at : at + _BLOCK]].sum(dtype=np.int64)) for at in range(0, flat.size, _BLOCK))


def _check_columns(found: Array, starts: Array, columns: int) -> None:
    """Every column in range, and larger than the one before, save where a row starts."""
    if not found.size:
        return
    if int(found.max()) >= columns:
        raise SourceError(f"has a column {found.max()}, of which there are {columns}")
    falls = found[1:] <= found[:-1]
    falls[starts[(starts > 0) & (starts < found.size)] - 1] = False
    if np.any(falls):
        raise SourceError(f"has columns that do not ascend, at value {int(np.argmax(falls)) + 1}")
