"""Numbers of 2 or 4 bits, several to a byte and the lowest bits first, as ONNX and TensorFlow Lite keep them."""

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from weightsmith.sources.file import File
from weightsmith.sources.source import BLOCK

Array = np.ndarray[Any, np.dtype[Any]]

_PACKED = {
    np.dtype(kind): bits
    for bits, kinds in (
        (4, (ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float4_e2m1fn)),
        (2, (ml_dtypes.int2, ml_dtypes.uint2)),
    )
    for kind in kinds
}


def unpack(packed: Array, dtype: np.dtype[Any]) -> Array:
    """One number per byte, as `ml_dtypes` keeps them, from several.

    Args:
        packed: bytes, one-dimensional.
        dtype: a type of `ml_dtypes` with 2 or 4 bits: `int4`, `uint4`, `float4_e2m1fn`, `int2`, `uint2`.

    Returns:
        As many values as fit into the bytes; the padding at the end of the last is the caller's to cut off.
    """
    bits = width(dtype)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    separate = (packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    return separate.reshape(-1).view(dtype)


def width(dtype: np.dtype[Any]) -> int:
    """Bits that an element takes where it is packed: 2, 4, or eight times its bytes."""
    return _PACKED.get(dtype, dtype.itemsize * 8)


def read_packed(file: File, offset: int, count: int, dtype: np.dtype[Any]) -> Iterator[Array]:
    """The `count` numbers that are packed in a file from `offset` on, by blocks.

    Raises:
        SourceError: the file became shorter or cannot be read.
    """
    share = 8 // width(dtype)
    for start in range(0, max(1, count), BLOCK):  # an empty tensor too has one block, which tells its type
        wanted = min(BLOCK, count - start)
        packed = np.empty(-(-wanted // share), np.uint8)
        file.read_into(offset + start // share, packed.data)
        yield unpack(packed, dtype)[:wanted]
