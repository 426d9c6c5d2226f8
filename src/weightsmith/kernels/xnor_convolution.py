"""Convolutions whose weights and activations are single bits, on images packed along their channels.

Zero padding is exact: what lies outside the image takes no part in a dot product, as in the dense convolution.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels import xnor_plain
from weightsmith.kernels.bits import pack_rows, unpack_rows
from weightsmith.kernels.choice import plain
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.parallel import threads as default_threads
from weightsmith.kernels.shared_words import task_of
from weightsmith.kernels.team import ALONE, SHORT, team, together
from weightsmith.kernels.xnor import PAIR, room, stripe
from weightsmith.kernels.xnor_finish import (
    LARGEST,
    check_thresholds,
    factor_of,
    factors,
    packed_flips,
    padded_thresholds,
    reached,
    spread,
    write_points,
)
from weightsmith.kernels.xnor_images import pack_image, pool_bits, unpack_image
from weightsmith.kernels.xnor_patches import (
    Geometry,
    border_of,
    geometry_of,
    outside_of,
    padded,
    patches,
    pixel_bases,
    pixel_classes,
)
from weightsmith.kernels.xnor_product import TILES, multiply
from weightsmith.kernels.xnor_words import (
    LANES,
    last_tile,
    pack_words,
    reorder,
    restore,
    unpack_words,
    words_in,
)

__all__ = [
    "convolution_bits_of",
    "convolution_words_of",
    "pack_image",
    "pool_bits",
    "unpack_image",
    "xnor_convolution",
    "xnor_convolution_bits",
]

_STRIPE = TILES * LANES
_PIXELS = 8 * _STRIPE
"""Most output pixels of one task: their patches stay in the second-level cache."""


def convolution_words_of(bits: NDArray[np.uint8], channels: int, kernel: tuple[int, int]) -> NDArray[np.uint64]:
    """Bring the weights of a convolution from the disk into the order in which its products want them.

    A linear layer that follows a flattened image is one of these as well: its kernel is as large as the image, and
    `reshape(rows, -1)` of these words are its weights, beside `image.reshape(batch, -1)`.

    Args:
        bits: uint8[outputs, ceil(channels * kernel height * kernel width / 8)], as of `bits.pack_rows`, in C order of
            `[channels, kernel height, kernel width]`.
        channels: of the input.
        kernel: height and width.

    Returns:
        uint64[outputs, kernel height, kernel width, ceil(channels / 64)] in an order of its own.

    Raises:
        InputError: `bits` does not hold so many weights.
    """
    high, wide = kernel
    positive = unpack_rows(bits, channels * high * wide).reshape(len(bits), channels, high, wide)
    words = pack_words(np.ascontiguousarray(positive.transpose(0, 2, 3, 1)))
    return reorder(words.reshape(len(bits), high * wide * words.shape[-1])).reshape(words.shape)


def convolution_bits_of(words: NDArray[np.uint64], channels: int) -> NDArray[np.uint8]:
    """Undo `convolution_words_of`.

    Raises:
        InputError: the words do not hold so many channels.
    """
    if words.ndim != 4 or words.dtype != np.uint64 or words.shape[3] != words_in(channels):
        raise InputError(f"weights of {channels} channels are not held by {words.dtype}{list(words.shape)}")
    outputs, high, wide, each = words.shape
    rows = restore(words.reshape(outputs, high * wide * each)).reshape(words.shape)
    positive = unpack_words(rows, channels).transpose(0, 3, 1, 2)
    return pack_rows(np.ascontiguousarray(positive).reshape(outputs, channels * high * wide))


@njit(nogil=True, cache=True)
def _floats(layer: Any, border: Any, scale: Any, bias: Any, block: Any, out: Any) -> None:
    """Output pixels `block` of all images into flat float32[batch, outputs, pixels]; lanes are pixels."""
    image, w, outside, channels, factor = layer
    down, across, taps, numbers = border
    start, stop = block
    (outputs, length), size = w.shape, numbers[10] * numbers[11]
    lanes = patches(image, numbers, start, stop)
    classes = pixel_classes(numbers, down, across, start, stop)
    base = pixel_bases(lanes, length, factor, channels, taps, classes)
    flat, tail, whole = w.reshape(w.size), last_tile(w), outputs // LANES * LANES
    counts = np.empty((outputs + LANES) * _STRIPE, np.int32)
    scales, biases = spread(scale, 1.0, 0, outputs), spread(bias, 0.0, 0, outputs)
    for first in range(0, stop - start, _STRIPE):
        pixels = min(_STRIPE, stop - start - first)
        tiles = (pixels + LANES - 1) // LANES
        width = tiles * LANES
        multiply(lanes, first * length, tiles, flat, 0, whole, length, counts, 0)
        if whole < outputs:
            multiply(lanes, first * length, tiles, tail, 0, outputs - whole, length, counts, whole * width)
        _take_outside(counts, width, classes[first:][:pixels], outside)
        done = 0
        while done < pixels:
            # A stripe may hold the end of one image and the beginning of the next.
            here = start + first + done
            run = min(pixels - done, size - here % size)
            for row in range(outputs):
                to = (here // size * outputs + row) * size + here % size
                write_points(counts, row * width + done, base, first + done, factor, scales, biases, row, out, to, run)
            done += run


@njit(nogil=True, cache=True)
def _take_outside(counts: Any, width: int, classes: Any, outside: Any) -> None:
    """Take from the counts [row, pixel] what weights differ in from padding."""
    for pixel in range(classes.size):
        if classes[pixel]:
            taken = outside[classes[pixel]]
            for row in range(taken.size):
                counts[row * width + pixel] -= taken[row]


@njit(nogil=True, cache=True)
def _bits(layer: Any, border: Any, threshold: Any, flip: Any, block: Any, out: Any) -> None:
    """Output pixels `block` of all images into uint8[pixels, bytes]; lanes are outputs, so bits come by eights."""
    image, w, outside, channels, factor = layer
    down, across, taps, numbers = border
    start, stop = block
    outputs, length = w.shape
    others = patches(image, numbers, start, stop)
    classes = pixel_classes(numbers, down, across, start, stop)
    base = pixel_bases(others, length, factor, channels, taps, classes)
    flat, tail, last = w.reshape(w.size), last_tile(w), (outputs + LANES - 1) // LANES
    thresholds, flips = padded_thresholds(threshold, 0, last), packed_flips(flip, 0, last)
    counts = np.empty(room(stop - start, last), np.int32)
    inside = np.uint8((1 << (outputs - 1) % LANES + 1) - 1)
    tile = 0
    while tile < last:
        tiles = stripe(flat, tail, length, tile, last, others, stop - start, counts)
        for pixel in range(stop - start):
            at = pixel * tiles * LANES
            if classes[pixel]:
                taken = outside[classes[pixel], tile * LANES :]
                for i in range(min(tiles * LANES, taken.size)):
                    counts[at + i] -= taken[i]
            for i in range(tiles):
                byte = reached(counts, at + i * LANES, base[pixel], factor, thresholds, (tile + i) * LANES)
                byte ^= flips[tile + i]
                out[start + pixel, tile + i] = byte & inside if tile + i == last - 1 else byte
        tile += tiles


def _prepared(
    image: NDArray[np.uint64], w: NDArray[np.uint64], channels: int, factor: int, geometry: Geometry
) -> tuple[Any, Any]:
    """What kernels take: the layer, and the border."""
    found = border_of(geometry)
    rows = np.ascontiguousarray(w).reshape(w.shape[0], w.shape[1] * w.shape[2] * w.shape[3])
    outside = outside_of(rows, found.numbers, found.vertical, found.horizontal)
    image = np.ascontiguousarray(image)
    if max(geometry.padding):
        image = padded(image, *geometry.padding)
    layer = (image, rows, outside, channels, factor)
    return layer, (found.down, found.across, found.taps, found.numbers)


@njit(nogil=True, cache=True)
def _floats_part(arguments: Any, part: int) -> None:
    size, start, stop, layer, border, scale, bias, out = arguments
    _floats(layer, border, scale, bias, (start + part * size, min(start + (part + 1) * size, stop)), out)


_floats_task = task_of(_floats_part)


@njit(nogil=True, cache=True)
def _all_floats(
    team: Any, size: int, start: int, stop: int, layer: Any, border: Any, scale: Any, bias: Any, out: Any
) -> None:
    parts = -(-(stop - start) // size)
    arguments = (size, start, stop, layer, border, scale, bias, out)
    if not together(team, _floats_task(arguments), parts):
        for part in range(parts):
            _floats_part(arguments, part)


@njit(nogil=True, cache=True)
def _bits_part(arguments: Any, part: int) -> None:
    size, start, stop, layer, border, threshold, flip, out = arguments
    _bits(layer, border, threshold, flip, (start + part * size, min(start + (part + 1) * size, stop)), out)


_bits_task = task_of(_bits_part)


@njit(nogil=True, cache=True)
def _all_bits(
    team: Any, size: int, start: int, stop: int, layer: Any, border: Any, threshold: Any, flip: Any, out: Any
) -> None:
    parts = -(-(stop - start) // size)
    arguments = (size, start, stop, layer, border, threshold, flip, out)
    if not together(team, _bits_task(arguments), parts):
        for part in range(parts):
            _bits_part(arguments, part)


def _share(kernel: Any, arguments: tuple[Any, ...], pixels: int, pairs: int, threads: int | None) -> None:
    """Call a kernel (team, pixels of a part, first pixel, stop, ...), split over a team or, if it takes long, the pool.

    Args:
        kernel: compiled.
        arguments: its others.
        pixels: of all outputs.
        pairs: of words, for each of them.
        threads: most to use.
    """
    seconds = PAIR * pixels * pairs
    short = seconds < SHORT
    workers = default_threads() if threads is None else threads
    members, parts = team(seconds, threads) if short else (ALONE, 2 * workers)
    # As many turns for each thread: one more for some would be one in which the others wait.
    parts *= max(-(-pixels // (parts * _PIXELS)), 1)
    size = max(-(-pixels // (parts * _STRIPE)), 1) * _STRIPE
    if short:
        kernel(members, size, 0, pixels, *arguments)
    else:
        map_blocks(lambda start, stop: kernel(ALONE, size, start, stop, *arguments), pixels, size, workers)


def _check(image: NDArray[np.uint64], w: NDArray[np.uint64], channels: int) -> None:
    kinds = image.dtype == np.uint64 and w.dtype == np.uint64
    if not kinds or image.ndim != 4 or w.ndim != 4 or image.shape[3] != w.shape[3] or w.shape[3] != words_in(channels):
        raise InputError(
            f"image and weights of {channels} channels must be uint64[batch, height, width, {words_in(channels)}] and "
            f"uint64[outputs, kernel height, kernel width, {words_in(channels)}], "
            f"not {image.dtype}{list(image.shape)} and {w.dtype}{list(w.shape)}"
        )
    if w.shape[1] * w.shape[2] * channels > LARGEST:
        raise InputError(
            f"a kernel of {w.shape[1]} by {w.shape[2]} on {channels} channels has more than {LARGEST} weights"
        )


def _geometry(
    image: NDArray[np.uint64], w: NDArray[np.uint64], channels: int, steps: tuple[tuple[int, int], ...]
) -> Geometry:
    _check(image, w, channels)
    stride, padding, dilation = steps
    return geometry_of((image.shape[1], image.shape[2]), (w.shape[1], w.shape[2]), stride, padding, dilation)


def xnor_convolution(
    image: NDArray[np.uint64],
    w: NDArray[np.uint64],
    channels: int,
    scale: NDArray[np.float32] | None = None,
    bias: NDArray[np.float32] | None = None,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    alphabet: str = "signs",
    threads: int | None = None,
) -> NDArray[np.float32]:
    """A convolution: `scale * dot + bias`, computed in float32, the product rounded before the sum.

    Args:
        image: uint64[batch, height, width, words], as of `pack_image`.
        w: uint64[outputs, kernel height, kernel width, words], as of `convolution_words_of`.
        channels: of the image.
        scale: float32[1] or float32[outputs]; 1 by default.
        bias: float32[1] or float32[outputs]; 0 by default.
        stride: down and across.
        padding: rows and columns of zeros on each side.
        dilation: pixels from one tap to the next.
        alphabet: of the weights, `signs` or `bits`.
        threads: most threads to use; by default the package's.

    Returns:
        float32[batch, outputs, output height, output width].

    Raises:
        InputError: types or shapes are others, or a kernel that does not fit.
    """
    steps = (stride, padding, dilation)
    geometry, factor, outputs = _geometry(image, w, channels, steps), factor_of(alphabet), w.shape[0]
    scale, bias = factors(scale, outputs, "scale"), factors(bias, outputs, "bias")
    if plain():
        found = xnor_plain.scaled(xnor_plain.convolved(image, w, channels, steps, alphabet), scale, bias)
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2))
    out = np.empty((image.shape[0], outputs, *geometry.output), np.float32)
    layer, border = _prepared(image, w, channels, factor, geometry)
    pixels = image.shape[0] * geometry.output[0] * geometry.output[1]
    _share(_all_floats, (layer, border, scale, bias, out.reshape(-1)), pixels, w.size, threads)
    return out


def xnor_convolution_bits(
    image: NDArray[np.uint64],
    w: NDArray[np.uint64],
    channels: int,
    threshold: NDArray[np.int32],
    flip: NDArray[np.bool_],
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    alphabet: str = "signs",
    threads: int | None = None,
) -> NDArray[np.uint64]:
    """A convolution, batch norm and sign at once: bit `(dot >= threshold) != flip`, packed for the next layer.

    Args:
        image: uint64[batch, height, width, words], as of `pack_image`.
        w: uint64[outputs, kernel height, kernel width, words], as of `convolution_words_of`.
        channels: of the image.
        threshold: int32[outputs]; see `xnor_linear_bits`.
        flip: bool[outputs]; where the batch norm's slope is negative.
        stride: down and across.
        padding: rows and columns of zeros on each side.
        dilation: pixels from one tap to the next.
        alphabet: of the weights, `signs` or `bits`.
        threads: most threads to use; by default the package's.

    Returns:
        uint64[batch, output height, output width, ceil(outputs / 64)], bits behind the last output 0.

    Raises:
        InputError: types or shapes are others, or a kernel that does not fit.
    """
    steps = (stride, padding, dilation)
    geometry, factor, outputs = _geometry(image, w, channels, steps), factor_of(alphabet), w.shape[0]
    check_thresholds(threshold, flip, outputs)
    if plain():
        return xnor_plain.compared(xnor_plain.convolved(image, w, channels, steps, alphabet), threshold, flip)
    threshold, flip = np.ascontiguousarray(threshold), np.ascontiguousarray(flip)
    out = np.zeros((image.shape[0], *geometry.output, words_in(outputs)), np.uint64)
    layer, border = _prepared(image, w, channels, factor, geometry)
    pixels = image.shape[0] * geometry.output[0] * geometry.output[1]
    target = out.view(np.uint8).reshape(pixels, words_in(outputs) * 8)
    _share(_all_bits, (layer, border, threshold, flip, target), pixels, w.size, threads)
    return out
