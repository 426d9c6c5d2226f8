"""The types of elements that PyTorch knows, by their names and those of their storages."""

from dataclasses import dataclass
from typing import Any, Final

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class Type:
    """One type of elements.

    Attributes:
        name: NumPy-style name, or PyTorch's own where NumPy has no such type.
        itemsize: bytes an element.
        dtype: what reads it, little endian; None where no array can hold it.
    """

    name: str
    itemsize: int
    dtype: np.dtype[Any] | None


def _plain(name: str) -> Type:
    dtype = np.dtype(name).newbyteorder("<")
    return Type(name, dtype.itemsize, dtype)


def _extended(name: str) -> Type:
    dtype = np.dtype(getattr(ml_dtypes, name))
    return Type(name, dtype.itemsize, dtype)


PLAIN: Final = ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS: Final = ("float16", "float32", "float64", "complex64", "complex128")
_EXTENDED: Final = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
)
_UNREADABLE: Final = {"qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1, "complex32": 4}
_UNREADABLE_BITS: Final = {"float4_e2m1fn_x2": 1, "bits8": 1, "bits16": 2, "bits1x8": 1, "bits2x4": 1, "bits4x2": 1}

TYPES: Final[dict[str, Type]] = {
    **{name: _plain(name) for name in PLAIN + FLOATS},
    **{name: _extended(name) for name in _EXTENDED},
    **{name: Type(name, size, None) for name, size in (_UNREADABLE | _UNREADABLE_BITS).items()},
    **{f"{sign}int{bits}": Type(f"{sign}int{bits}", 1, None) for sign in ("", "u") for bits in range(1, 8)},
}
ALIASES: Final = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "short": "int16",
    "int": "int32",
    "long": "int64",
    "chalf": "complex32",
}
STORAGES: Final = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Bool": "bool",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
    "QUInt4x2": "quint4x2",
    "QUInt2x4": "quint2x4",
}
