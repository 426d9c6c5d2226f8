"""One packed weight: what it is, and the arrays that it is kept in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal, get_args

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Format = Literal["binary", "ternary", "bitmask", "csr", "gaps", "fan_in", "dense"]
Alphabet = Literal["signs", "bits"]
Floats = Literal["float32", "float16", "bfloat16"]
Values = Literal["float32", "float16", "bfloat16", "signs"]

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
ALPHABETS: Final[tuple[Alphabet, ...]] = get_args(Alphabet)
FLOATS: Final[tuple[Floats, ...]] = get_args(Floats)
VALUES: Final[tuple[Values, ...]] = get_args(Values)
SPARSE: Final[frozenset[Format]] = frozenset({"bitmask", "csr", "gaps", "fan_in"})

MOST_COLUMNS: Final = 1 << 16
"""Columns that 16-bit indices reach."""

SKIP: Final = 255
"""Among gaps: so many places without a value."""


@dataclass(frozen=True)
class Layout:
    """What a packed weight is, without its numbers.

    Attributes:
        format: one of `FORMATS`.
        shape: of the weight itself.
        alphabet: what the two bits of `binary` stand for: `signs` for -1 and +1, `bits` for 0 and 1.
    """

    format: Format
    shape: tuple[int, ...]
    alphabet: Alphabet = "signs"

    @property
    def matrix(self) -> tuple[int, int]:
        """Its rows and columns, as `matrix_shape` counts them."""
        return matrix_shape(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A packed weight.

    Of N rows and K columns (`matrix_shape`), with nnz values that are not zero:

    - `binary`: `bits` uint8[N, ceil(K/8)], a set bit for the larger value; `scale`.
    - `ternary`: `plus` and `minus`, each uint8[N, ceil(K/8)], never both set; `scale`.
    - `bitmask`: `mask` uint8[N, ceil(K/8)]; values.
    - `csr`: `pointers` unsigned[N+1], `columns` uint16[nnz], ascending in each row; values.
    - `gaps`: `gaps` uint8[], the zeros before each value, all rows as one; 255 is 255 zeros and no value; values.
    - `fan_in`: `columns` uint16[N, F], ascending in each row; values, of which some may be 0.
    - `dense`: the weight as it is, under the empty name.

    Values are `values` float32, float16 or bfloat16, row after row, or `signs` uint8[ceil(count/8)] (a set bit for +1)
    with a `scale`. `scale` is float32[1] or float32[N] and multiplies; without it, it is 1.

    Attributes:
        format: one of `FORMATS`.
        shape: of the weight itself.
        tensors: its parts by name.
        alphabet: of `binary`.
    """

    format: Format
    shape: tuple[int, ...]
    tensors: Mapping[str, Array]
    alphabet: Alphabet = "signs"

    @property
    def layout(self) -> Layout:
        """What it is, without its numbers."""
        return Layout(self.format, self.shape, self.alphabet)

    @property
    def matrix(self) -> tuple[int, int]:
        """Its rows and columns, as `matrix_shape` counts them."""
        return matrix_shape(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its parts."""
        return sum(part.nbytes for part in self.tensors.values())

    @property
    def values(self) -> str:
        """How its values are kept: `float32`, `float16`, `bfloat16`, `signs`, or the type of a dense weight."""
        for part in ("values", ""):
            if part in self.tensors:
                return str(self.tensors[part].dtype.name)
        return "signs" if self.alphabet == "signs" else "bits"


def matrix_shape(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a weight: its outputs, and what each of them sees, in C order; a vector is a single row."""
    if len(shape) < 2:
        return 1, prod(shape)
    return shape[0], prod(shape[1:])
