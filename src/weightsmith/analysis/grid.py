"""A weight's matrix of neurons, read by any rectangle: nothing but the bytes that are asked for."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import neurons
from weightsmith.sources import Place, Weight

_Read = Callable[[int, int, int, int], NDArray[Any]]


@dataclass(frozen=True)
class Grid:
    """The matrix that `neurons` gives of a weight, without holding it.

    Attributes:
        rows, columns: its neurons or filters, and their inputs.
        turned: whether its columns are what lies back to back.
        held: bytes that it keeps in memory, as they do not lie plain in a file.
    """

    rows: int
    columns: int
    turned: bool
    _read: _Read
    held: int = 0

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        """Rows [top, bottom) and columns [left, right) in the type that they are stored in, of native byte order.

        Raises:
            InputError, SourceError: the values are not readable, or no longer there.
        """
        if not self.turned:
            return self._read(top, bottom, left, right)
        return self._read(left, right, top, bottom).T

    @classmethod
    def of(cls, weight: Weight) -> "Grid":
        """The grid of a weight: values that lie plain in a file stay there, others are read once and kept.

        Raises:
            InputError, SourceError: as `neurons`.
        """
        shape = weight.shape
        axis = weight.info.output_axis % len(shape) if len(shape) > 1 else 0
        place = weight.place
        if place is None or place.dtype.kind not in "biufV" or axis not in (0, len(shape) - 1):
            matrix = neurons(weight)
            turned = matrix.flags.f_contiguous and not matrix.flags.c_contiguous
            kept = np.ascontiguousarray(matrix.T if turned else matrix)
            return cls(matrix.shape[0], matrix.shape[1], turned, _from_array(kept), kept.nbytes)
        outputs = shape[axis] if shape else 1
        inputs = math.prod(shape[:axis] + shape[axis + 1 :])
        turned = axis != 0
        return cls(outputs, inputs, turned, _from_place(place, outputs if turned else inputs))


def _from_array(matrix: NDArray[Any]) -> _Read:
    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        return matrix[top:bottom, left:right]

    return read


def _from_place(place: Place, width: int) -> _Read:
    """Reads by copying ranges, never by mapping: a file that was cut off is then an error and not a dead process."""
    size = place.dtype.itemsize
    native = place.dtype.newbyteorder("=")
    swapped = place.dtype.byteorder == (">" if sys.byteorder == "little" else "<")

    def read(top: int, bottom: int, left: int, right: int) -> NDArray[Any]:
        found = np.empty((bottom - top, right - left), place.dtype)
        buffer = found.view(np.uint8).reshape(-1).data if found.size else memoryview(b"")
        if right - left == width or bottom - top <= 1:
            if found.size:
                place.file.read_into(place.offset + (top * width + left) * size, buffer)
        else:
            length = (right - left) * size
            for row in range(bottom - top):
                start = place.offset + ((top + row) * width + left) * size
                place.file.read_into(start, buffer[row * length : (row + 1) * length])
        return found.astype(native) if swapped else found

    return read
