"""Folders of IDX files, the format of MNIST and its relatives, plain or gzipped.

A file is two zero bytes, a type byte, the number of dimensions, each dimension as a big-endian 32-bit number, then
the values (LeCun, Cortes and Burges, 1998). Only unsigned bytes are read: no published image set uses another type.
"""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import SourceError
from weightsmith.train.data.raw import Raw

_UNSIGNED_BYTE = 8
_DEFLATE_RATIO = 1032
"""No deflate stream expands further than this (Gailly and Adler, zlib's technical details)."""


def has_idx_files(folder: Path) -> bool:
    """Whether a folder holds training images in IDX form."""
    return _find(folder, "train-images") is not None


def read_idx_folder(folder: Path) -> Raw:
    """Training images and labels, and the published test set (`t10k-...`) where it is there.

    Raises:
        SourceError: naming the file that is missing or malformed.
    """
    train = _read_pair(folder, "train")
    test = _read_pair(folder, "t10k") if _find(folder, "t10k-images") else None
    if test and test[0].shape[1:] != train[0].shape[1:]:
        raise SourceError(f"{folder}: test images are {test[0].shape[2:]}, but training images {train[0].shape[2:]}")
    return Raw(str(folder), *train, "image", test, task="classification")


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in one IDX file.

    Raises:
        SourceError: for a wrong magic number, a truncated or overlong file, a type other than unsigned bytes.
    """
    size = path.stat().st_size
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            shape = _header(stream.read(4), path, stream.read)
            count = math.prod(shape)
            if count > size * (_DEFLATE_RATIO if path.suffix == ".gz" else 1):
                raise SourceError(
                    f"{path}: truncated: the header announces {count:,} values, the file is {size:,} bytes"
                )
            content, rest = stream.read(count), stream.read(1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path}: truncated or damaged gzip file: {error}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) < count:
        raise SourceError(f"{path}: truncated: the header announces {count:,} values, {len(content):,} follow")
    if rest:
        raise SourceError(f"{path}: more bytes follow than the {count:,} values that the header announces")
    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)


def _header(magic: bytes, path: Path, read: Callable[[int], bytes]) -> tuple[int, ...]:
    if len(magic) < 4 or magic[:2] != b"\0\0" or not magic[3]:
        raise SourceError(f"{path}: not an IDX file: it starts with {magic.hex(' ') or 'nothing'}")
    if magic[2] != _UNSIGNED_BYTE:
        raise SourceError(f"{path}: values of type 0x{magic[2]:02x} are not supported, only unsigned bytes (0x08)")
    lengths = read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise SourceError(f"{path}: truncated in its header")
    return tuple(int(length) for length in np.frombuffer(lengths, ">u4"))


def _read_pair(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(rows, 1, height, width) images and their labels."""
    images_at, labels_at = _find(folder, f"{part}-images"), _find(folder, f"{part}-labels")
    if images_at is None or labels_at is None:
        raise SourceError(f"{folder}: the file {part}-{'labels-idx1' if images_at else 'images-idx3'}-ubyte is missing")
    images, labels = read_idx(images_at), read_idx(labels_at)
    if images.ndim != 3 or 0 in images.shape:
        raise SourceError(f"{images_at}: must hold images (count, height, width), but has shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise SourceError(
            f"{labels_at}: must hold {len(images):,} labels for as many images, but has shape {labels.shape}"
        )
    return images[:, None], labels.astype(np.int64)


def _find(folder: Path, stem: str) -> Path | None:
    kind = "idx3" if "images" in stem else "idx1"
    names = (f"{stem}{mark}{kind}-ubyte{ending}" for mark in "-." for ending in ("", ".gz"))
    return next((folder / name for name in names if (folder / name).is_file()), None)
