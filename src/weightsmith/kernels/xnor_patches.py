"""What a convolution's kernel covers of packed images, as rows for a product; and what zero padding takes from it.

Padding is 0, which is neither of the two signs. A patch has clear bits there, and they differ from weights where
those are set; so from counts is taken how many bits of the weights are set in the taps that lie outside. That depends
on which taps these are: on the *class* of the output pixel, and there are few.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.xnor_words import LANES, combine, last_tile, ones_in


class Geometry(NamedTuple):
    """Where the kernel lies for each output pixel.

    Attributes:
        image: height and width of the input.
        kernel: height and width of the kernel.
        stride: pixels from one output to the next, down and across.
        padding: rows and columns of zeros on each side.
        dilation: pixels from one tap to the next.
        output: height and width of the output.
    """

    image: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]


def geometry_of(
    image: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Geometry:
    """The geometry of a convolution.

    Raises:
        InputError: a number that cannot be, or a kernel that does not fit the padded image.
    """
    if min(*kernel, *stride, *dilation) < 1 or min(padding) < 0:
        raise InputError(
            f"kernel {kernel}, stride {stride} and dilation {dilation} must be positive, padding {padding} not negative"
        )
    height, width = (
        (size + 2 * pad - step * (taps - 1) - 1) // skip + 1
        for size, pad, step, taps, skip in zip(image, padding, dilation, kernel, stride, strict=True)
    )
    if height < 1 or width < 1:
        raise InputError(
            f"kernel {kernel} with dilation {dilation} does not fit an image of {image} padded by {padding}"
        )
    return Geometry(image, kernel, stride, padding, dilation, (height, width))


class Border(NamedTuple):
    """Which taps lie inside the image, for every output pixel.

    Attributes:
        down: int64[output height]; the class of a pixel is `down + across`, 0 where the whole kernel lies inside.
        across: int64[output width].
        taps: int64[classes], how many taps lie inside.
        vertical: int64[n, 2], the classes' ranges of rows of the kernel.
        horizontal: int64[m, 2], the same of columns; class `i * m + j` has ranges i and j.
        numbers: int64[12], the geometry as kernels take it.
    """

    down: NDArray[np.int64]
    across: NDArray[np.int64]
    taps: NDArray[np.int64]
    vertical: NDArray[np.int64]
    horizontal: NDArray[np.int64]
    numbers: NDArray[np.int64]


@lru_cache(maxsize=256)
def border_of(geometry: Geometry) -> Border:
    """The border of a convolution; its arrays are read-only."""
    down, vertical = _ranges(geometry, 0)
    across, horizontal = _ranges(geometry, 1)
    taps = np.outer(vertical[:, 1] - vertical[:, 0], horizontal[:, 1] - horizontal[:, 0]).ravel()
    numbers = np.array(geometry, np.int64).ravel()
    found = Border(down * len(horizontal), across, taps, vertical, horizontal, numbers)
    for array in found:
        array.flags.writeable = False
    return found


def _ranges(geometry: Geometry, axis: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes of outputs along an axis, and the range of taps inside the image for each class, the full one first."""
    taps, step, size = geometry.kernel[axis], geometry.dilation[axis], geometry.image[axis]
    start = np.arange(geometry.output[axis]) * geometry.stride[axis] - geometry.padding[axis]
    first = np.clip(-(start // step), 0, taps)
    last = np.clip(-((start - size) // step), 0, taps)
    pairs = np.stack([first, np.maximum(first, last)], axis=1)
    known: dict[tuple[int, int], int] = {(0, taps): 0}
    classes = np.array([known.setdefault((int(low), int(high)), len(known)) for low, high in pairs], np.int64)
    return classes, np.array(list(known), np.int64)


@njit(nogil=True, cache=True)
def outside_of(w: Any, numbers: Any, vertical: Any, horizontal: Any) -> Any:
    """Bits set in the taps that lie outside, of every row of weights: int32[classes, rows]."""
    high, wide = numbers[2], numbers[3]
    rows = w.shape[0]
    outside = np.zeros((len(vertical) * len(horizontal), rows), np.int32)
    if len(outside) == 1 and vertical[0, 1] - vertical[0, 0] == high and horizontal[0, 1] - horizontal[0, 0] == wide:
        return outside
    set_bits = _set_bits(w, high * wide)
    for i in range(len(vertical)):
        for j in range(len(horizontal)):
            taken = outside[i * len(horizontal) + j]
            for tap in range(high * wide):
                y, x = tap // wide, tap % wide
                if not (vertical[i, 0] <= y < vertical[i, 1] and horizontal[j, 0] <= x < horizontal[j, 1]):
                    taken += set_bits[tap, :rows]
    return outside


@njit(nogil=True, cache=True)
def _set_bits(w: Any, taps: int) -> Any:
    """How many bits each tap of each row of weights has set: int32[taps, rows of whole tiles]."""
    rows, length = w.shape
    words = length // taps
    whole, tail, flat = rows // LANES, last_tile(w), w.reshape(w.size)
    found = np.zeros((taps, (rows + LANES - 1) // LANES * LANES), np.int32)
    for tile in range(found.shape[1] // LANES):
        part = (flat[tile * length * LANES : (tile + 1) * length * LANES] if tile < whole else tail).copy()
        combine(part, length)
        for tap in range(taps):
            total = found[tap, tile * LANES : (tile + 1) * LANES]
            for word in range(tap * words, (tap + 1) * words):
                here = part[word * LANES : (word + 1) * LANES]
                for lane in range(LANES):
                    total[lane] += ones_in(here[lane])
    return found


@njit(nogil=True, cache=True)
def padded(image: Any, down: int, across: int) -> Any:
    """Packed images with rows and columns of clear bits on each side."""
    batch, height, width, words = image.shape
    found = np.zeros((batch, height + 2 * down, width + 2 * across, words), np.uint64)
    found[:, down : down + height, across : across + width] = image
    return found


@njit(nogil=True, cache=True)
def patches(image: Any, numbers: Any, start: int, stop: int) -> Any:
    """What the kernel covers for output pixels `start` to `stop` of all images, interleaved and flat.

    Args:
        image: uint64[batch, padded height, padded width, words].
        numbers: of the border.
        start: number of the first output pixel, counted through all images.
        stop: that behind the last, more than `start`.
    """
    _, height, width, words = image.shape
    across, size = numbers[11], numbers[10] * numbers[11]
    taps = _tap_offsets(numbers, width, words)
    values = image.reshape(image.size)
    tiles = (stop - start + LANES - 1) // LANES
    flat = np.empty(tiles * LANES * taps.size, np.uint64)
    corners = np.empty(LANES, np.uint64)
    for tile in range(tiles):
        for lane in range(LANES):
            pixel = min(start + tile * LANES + lane, stop - 1)
            y, x = pixel % size // across * numbers[4], pixel % size % across * numbers[5]
            corners[lane] = ((pixel // size * height + y) * width + x) * words
        target = flat[tile * LANES * taps.size :]
        for tap in range(taps.size):
            for lane in range(LANES):
                target[tap * LANES + lane] = values[corners[lane] + taps[tap]]
    combine(flat, taps.size)
    return flat


@njit(nogil=True, cache=True)
def _tap_offsets(numbers: Any, width: int, words: int) -> Any:
    """Where each word that the kernel covers lies from its corner on; unsigned, which spares a check of each index."""
    high, wide = numbers[2], numbers[3]
    found = np.empty(high * wide * words, np.uint64)
    for i in range(high):
        for j in range(wide):
            for word in range(words):
                found[(i * wide + j) * words + word] = (i * numbers[8] * width + j * numbers[9]) * words + word
    return found


@njit(nogil=True, cache=True)
def pixel_classes(numbers: Any, down: Any, across: Any, start: int, stop: int) -> Any:
    """The class of every output pixel `start` to `stop`: int64."""
    height, width = numbers[10], numbers[11]
    found = np.empty(stop - start, np.int64)
    for pixel in range(start, stop):
        place = pixel % (height * width)
        found[pixel - start] = down[place // width] + across[place % width]
    return found


@njit(nogil=True, cache=True)
def pixel_bases(flat: Any, length: int, factor: int, channels: int, taps: Any, classes: Any) -> Any:
    """What counts are taken from, for each pixel: the signs that the kernel covers, or how many of them are +1."""
    found = np.empty(classes.size, np.int32)
    for pixel in range(classes.size):
        found[pixel] = channels * taps[classes[pixel]]
    if factor == 1:
        found[:] = 0
        words = flat.copy()
        combine(words, length)
        for pixel in range(classes.size):
            begin = pixel // LANES * LANES * length + pixel % LANES
            for word in range(length):
                found[pixel] += ones_in(words[begin + word * LANES])
    return found
