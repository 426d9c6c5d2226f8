"""Inert stand-ins for NumPy's arrays, types and numbers in a pickle; decoded here, never by NumPy's own pickle code."""

from typing import Any, Final

import numpy as np

from weightsmith.sources.torch_types import FLOATS, PLAIN, TYPES, Type
from weightsmith.sources.unpickling import Opaque, PickleError, naturals

_CODES: Final = {np.dtype(name).str[1:]: TYPES[name] for name in PLAIN + FLOATS}
"""NumPy's codes (`f4`) without their byte order."""


class Array:
    """A NumPy array, its bytes inside the pickle."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = ()
        self.type: Type | None = None
        self.data = b""
        self.columns_first = False
        self.swapped = False

    def set_state(self, state: object) -> None:
        """Take the state of `ndarray.__setstate__`: version, shape, dtype, Fortran order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise PickleError("a NumPy array has a state that makes no sense")
        _, shape, kind, columns_first, data = state
        if not isinstance(kind, Numpy):
            raise PickleError("a NumPy array has a type that makes no sense")
        self.shape, self.type, self.swapped = naturals(shape), kind.type, kind.swapped
        self.columns_first = columns_first is True
        self.data = data.encode("latin-1") if isinstance(data, str) else data if isinstance(data, bytes) else b""


class Numpy:
    """A NumPy type: `type` is None where elements are objects or records, which are not read."""

    def __init__(self, code: object) -> None:
        self.type: Type | None = None
        self.swapped = False
        text = code.decode("latin-1") if isinstance(code, bytes) else code
        if isinstance(text, str):
            self.type = _CODES.get(text.lstrip("<>|="))
            self.swapped = text.startswith(">")

    def set_state(self, state: object) -> None:
        """Take the byte order from the state of `dtype.__setstate__`: version, order, ..."""
        if isinstance(state, tuple) and len(state) > 1:
            self.swapped = state[1] in (">", b">")


def number(arguments: tuple[Any, ...]) -> Any:
    """The Python number that `numpy.core.multiarray.scalar` would make of a type and its bytes."""
    kind, data = arguments[:2]
    raw = data.encode("latin-1") if isinstance(data, str) else data
    if not isinstance(kind, Numpy) or kind.type is None or kind.type.dtype is None or not isinstance(raw, bytes):
        return Opaque("numpy.generic")
    return np.frombuffer(raw, kind.type.dtype.newbyteorder(">" if kind.swapped else "<"), 1)[0].item()


def from_buffer(arguments: tuple[Any, ...]) -> Array:
    """The array that `numpy.core.numeric._frombuffer` would make of bytes, type, shape and order."""
    data, kind, shape, order = arguments[:4]
    array = Array()
    array.set_state((1, shape, kind, order == "F", data))
    return array
