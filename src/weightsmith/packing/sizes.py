"""What a weight would take in each format, without packing it."""

import json
from dataclasses import dataclass
from math import prod
from typing import Final

import ml_dtypes
import numpy as np

from weightsmith.kernels.bits import row_bytes
from weightsmith.packing.encoded import Format, Layout, matrix_shape
from weightsmith.packing.names import describe

Planned = tuple[str, str, tuple[int, ...]]
"""A part before it exists: its name, type and shape."""

_CODES: Final = {"float32": "F32", "float64": "F64", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64"}


@dataclass(frozen=True)
class Candidate:
    """A way to keep a weight.

    Attributes:
        format: one of `FORMATS`.
        values: how its values are kept: `signs`, `bits`, or the name of a float type.
        nbytes: bytes of its parts.
        header: bytes that they take in the header of the file, about: names are counted, offsets guessed.
    """

    format: Format
    values: str
    nbytes: int
    header: int

    @property
    def total(self) -> int:
        """All that it adds to a file."""
        return self.nbytes + self.header


@dataclass(frozen=True)
class Content:
    """What decides the size of a weight.

    Attributes:
        shape: its shape.
        nonzero: how many values are not zero.
        fan_in: how many at most in a row.
        gaps: how many bytes the gaps between them take; None where that was not counted, as they are too many.
    """

    shape: tuple[int, ...]
    nonzero: int
    fan_in: int
    gaps: int | None = None


def candidate(name: str, content: Content, form: Format, values: str, scales: int) -> Candidate:
    """What a weight takes in one format.

    Args:
        name: of the weight; it stands in the header with each part.
        content: what is in it.
        form: one of `FORMATS`.
        values: `signs`, `bits` or the name of a float type.
        scales: numbers in its scale: none, one, or one for each row.
    """
    parts = [*_parts(content, form, values), *([("scale", "float32", (scales,))] if scales else [])]
    header = sum(len(_line(f"{name}.{part}" if part else name, dtype, shape)) for part, dtype, shape in parts)
    if form != "dense":
        layout = Layout(form, content.shape, "bits" if values == "bits" else "signs")
        header += len(json.dumps(json.dumps({name: describe(layout)}, separators=(",", ":")))) - 3
    return Candidate(form, values, sum(_bytes(dtype, shape) for _, dtype, shape in parts), header)


def _parts(content: Content, form: Format, values: str) -> list[Planned]:
    rows, columns = matrix_shape(content.shape)
    plane = (rows, row_bytes(columns))
    if form == "binary":
        return [("bits", "uint8", plane)]
    if form == "ternary":
        return [("plus", "uint8", plane), ("minus", "uint8", plane)]
    if form == "dense":
        return [("", values, content.shape)]
    if form == "bitmask":
        return [("mask", "uint8", plane), _values(values, (content.nonzero,))]
    if form == "fan_in":
        shape = rows, max(1, content.fan_in)
        return [("columns", "uint16", shape), _values(values, shape)]
    if form == "gaps":
        assert content.gaps is not None
        return [("gaps", "uint8", (content.gaps,)), _values(values, (content.nonzero,))]
    pointers = "pointers", _counter(content.nonzero), (rows + 1,)
    return [pointers, ("columns", "uint16", (content.nonzero,)), _values(values, (content.nonzero,))]


def _values(kind: str, shape: tuple[int, ...]) -> Planned:
    return ("signs", "uint8", (row_bytes(prod(shape)),)) if kind == "signs" else ("values", kind, shape)


def _counter(count: int) -> str:
    return str(np.min_scalar_type(count))


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return prod(shape) * np.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize


def _line(name: str, dtype: str, shape: tuple[int, ...]) -> str:
    """The part's line in the header of a file that holds nothing else, with the comma behind it."""
    entry = {"dtype": _CODES.get(dtype, "BF16"), "shape": list(shape), "data_offsets": [_bytes(dtype, shape)] * 2}
    return json.dumps({name: entry}, separators=(",", ":"))[1:]
