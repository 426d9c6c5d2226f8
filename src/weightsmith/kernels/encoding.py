"""The bytes of a sketch: a checked header of fixed size, then keys and counts, compressed where that is smaller.

Little-endian throughout. Keys are stored as differences from one to the next, counts in the fewest bytes that hold
the largest. A CRC-32 covers header and content; everything is checked again before it is believed.
"""

import math
import struct
import zlib
from typing import NamedTuple

import numpy as np

from weightsmith.errors import SourceError
from weightsmith.kernels.layout import LAYOUTS, Counts, Keys, Tally, values

_MAGIC = b"WSSK"
_VERSION = 1
_HEADER = struct.Struct("<4sBBBB20s7q4dIII")
_EXACT, _COMPRESSED = 1, 2


class _Header(NamedTuple):
    magic: bytes
    version: int
    flags: int
    width: int
    reserved: int
    layout: bytes
    elements: int
    zeros: int
    subnormals: int
    nan: int
    positive_infinity: int
    negative_infinity: int
    first_non_finite: int
    sum: float
    sum_of_squares: float
    minimum: float
    maximum: float
    bins: int
    length: int
    checksum: int


def encode(tally: Tally) -> bytes:
    """The bytes that `decode` turns back into an equal tally."""
    largest = int(tally.counts.max()) if tally.counts.size else 0
    width = next(width for width in (1, 2, 4, 8) if largest < 256**width)
    steps = np.diff(tally.keys, prepend=np.uint16(0)).astype("<u2")
    content = steps.tobytes() + tally.counts.astype(f"<u{width}").tobytes()
    compressed = zlib.compress(content, 6)
    smaller = len(compressed) < len(content)
    content = compressed if smaller else content
    header = _Header(
        magic=_MAGIC,
        version=_VERSION,
        flags=_EXACT * tally.exact + _COMPRESSED * smaller,
        width=width,
        reserved=0,
        layout=tally.layout.encode(),
        elements=tally.count,
        zeros=tally.zeros,
        subnormals=tally.subnormals,
        nan=tally.nan,
        positive_infinity=tally.positive_infinity,
        negative_infinity=tally.negative_infinity,
        first_non_finite=-1 if tally.first_non_finite is None else tally.first_non_finite,
        sum=tally.sum,
        sum_of_squares=tally.sum_of_squares,
        minimum=tally.minimum,
        maximum=tally.maximum,
        bins=tally.keys.size,
        length=len(content),
        checksum=0,
    )
    checksum = _checksum(header, content)
    return _HEADER.pack(*header._replace(checksum=checksum)) + content


def decode(data: bytes) -> Tally:
    """The tally that `encode` wrote.

    Raises:
        SourceError: the bytes are anything else: truncated, altered, contradictory or of a newer version.
    """
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise SourceError("not a sketch: the bytes do not begin as one")
    header = _Header(*_HEADER.unpack_from(data))
    if header.version != _VERSION:
        raise SourceError(f"cannot read a sketch of version {header.version}: update weightsmith")
    content = data[_HEADER.size :]
    if len(content) != header.length or header.checksum != _checksum(header, content):
        raise SourceError("damaged sketch: its bytes are truncated or altered")
    layout = header.layout.rstrip(b"\0").decode("ascii", "replace")
    if layout not in LAYOUTS or header.width not in (1, 2, 4, 8) or header.bins > 65536 or header.reserved:
        raise SourceError("damaged sketch: its header names an unknown layout or size")
    tally = _tally(header, layout, *_unpacked(header, content))
    finite = sum(tally.counts.tolist())  # of Python's integers, which do not overflow
    if not (_bins_agree(tally, finite) and _numbers_agree(tally, finite)):
        raise SourceError("damaged sketch: its counts and totals contradict each other")
    return tally


def _checksum(header: _Header, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(_HEADER.pack(*header._replace(checksum=0))))


def _unpacked(header: _Header, content: bytes) -> tuple[Keys, Counts]:
    size = header.bins * (2 + header.width)
    if header.flags & _COMPRESSED:
        try:
            content = zlib.decompressobj().decompress(content, size + 1)
        except zlib.error as error:
            raise SourceError(f"damaged sketch: {error}") from None
    if len(content) != size:
        raise SourceError("damaged sketch: its header and content differ in length")
    steps = np.frombuffer(content, "<u2", header.bins)
    counts = np.frombuffer(content, f"<u{header.width}", header.bins, 2 * header.bins)
    keys = np.cumsum(steps, dtype=np.int64)
    # A step of zero repeats a key, and 65536 bins of the largest step still fit an int64.
    if keys.size and ((steps[1:] == 0).any() or keys[-1] > 0xFFFF):
        raise SourceError("damaged sketch: its keys do not ascend")
    return keys.astype(np.uint16), counts.astype(np.int64)


def _tally(header: _Header, layout: str, keys: Keys, counts: Counts) -> Tally:
    return Tally(
        layout=layout,
        keys=keys,
        counts=counts,
        count=header.elements,
        zeros=header.zeros,
        subnormals=header.subnormals,
        nan=header.nan,
        positive_infinity=header.positive_infinity,
        negative_infinity=header.negative_infinity,
        sum=header.sum,
        sum_of_squares=header.sum_of_squares,
        minimum=header.minimum,
        maximum=header.maximum,
        first_non_finite=None if header.first_non_finite == -1 else header.first_non_finite,
        exact=bool(header.flags & _EXACT),
    )


def _bins_agree(tally: Tally, finite: int) -> bool:
    """Whether keys stand for finite values and their counts, with those of NaN and Inf, give the number of elements."""
    if tally.layout not in ("float32", "float16") and (tally.keys > 0xFF).any():
        return False
    others = tally.nan, tally.positive_infinity, tally.negative_infinity
    return (
        bool(np.isfinite(values(tally.layout, tally.keys)).all())
        and bool((tally.counts > 0).all())
        and min(others) >= 0
        and finite + sum(others) == tally.count
    )


def _numbers_agree(tally: Tally, finite: int) -> bool:
    """Whether totals, extremes and the place of the first non-finite value are possible together."""
    first = tally.first_non_finite
    if (first is None) != (finite == tally.count) or not (first is None or 0 <= first < tally.count):
        return False
    if min(tally.zeros, tally.subnormals) < 0 or tally.zeros + tally.subnormals > finite:
        return False
    if not (tally.exact or tally.layout == "float32"):
        return False
    if not finite:
        return math.isnan(tally.minimum) and math.isnan(tally.maximum)
    return tally.minimum <= tally.maximum and max(abs(tally.minimum), abs(tally.maximum)) < math.inf
