"""Compiled loops of a sparse convolution: an image laid out so that every tap is a run of consecutive values.

With a stride, the rows and columns of the padded image are dealt out to stride x stride smaller images (phases), in
which the outputs' inputs for one tap lie side by side.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from weightsmith.kernels.sparse.rows import Floats, finite, row_results
from weightsmith.kernels.sparse.vectors import LANES, WIDEST


@njit(nogil=True, cache=True)
def lay_out(
    image: NDArray[np.float32], stride: tuple[int, int], padding: tuple[int, int], phases: NDArray[np.float32]
) -> bool:
    """Copy an image into its phases and say whether all of it is finite.

    Args:
        image: float32[channels, height, width].
        stride: rows, columns.
        padding: rows, columns.
        phases: float32[channels, stride rows, stride columns, rows, columns], zeroed, large enough.
    """
    channels, height, width = image.shape
    down, across = stride
    rows, columns = phases.shape[3:]
    held, to = image.reshape(image.size), phases.reshape(phases.size)
    for channel in range(channels):
        for i in range(height):
            y = i + padding[0]
            row, phase = y // down, y % down
            if across == 1:
                # Flat, since only plain sums of positions vectorize.
                target = ((channel * down + phase) * rows + row) * columns + padding[1]
                origin = (channel * height + i) * width
                for j in range(width):
                    to[target + j] = held[origin + j]
            else:
                for j in range(width):
                    x = j + padding[1]
                    phases[channel, phase, x % across, row, x // across] = image[channel, i, j]
    return finite(held)


@njit(nogil=True, cache=True)
def convolve_rows(
    phases: Floats,
    pitch: int,
    origins: NDArray[np.int64],
    offsets: NDArray[np.int64],
    vectors: int,
    starts: NDArray[np.int64],
    columns: NDArray[Any],
    values: Any,
    signed: bool,
    scale: Floats,
    bias: Floats,
    outputs: NDArray[np.float32],
    first: int,
    last: int,
    tile: int,
    tiles: int,
) -> None:
    """Output channels first to last of one image, of the pixels from tile to tiles (not included).

    Args:
        phases: as `lay_out` filled them, flat, with vectors * 16 zeros behind the last.
        pitch: values in a row of a phase; pixels are numbered by it, and those behind the last column are dropped.
        origins: int64[rows]; where the channels of each output channel's group begin.
        offsets: int64[columns]; where each tap is from there, for pixel 0.
        vectors: width of a tile, in vectors of 16 pixels.
        starts: as in `gather_rows`, as are columns, values, signed, scale and bias.
        columns: see there.
        values: see there.
        signed: see there.
        scale: see there.
        bias: see there.
        outputs: float32[rows, height, width].
        first: output channel to begin with.
        last: output channel to stop before.
        tile: tile to begin with.
        tiles: tile to stop before.
    """
    height, width = outputs.shape[1:]
    span = vectors * LANES
    flat = outputs.reshape(outputs.size)
    block = np.empty(2 * WIDEST * LANES, np.float32)
    for number in range(tile, tiles):
        begin = number * span
        stop = min(begin + span, height * pitch)
        top, left = begin // pitch, begin % pitch
        for row in range(first, last):
            origin = origins[row] + begin
            row_results(vectors, phases, origin, offsets, row, starts, columns, values, signed, block, 0)
            factor = scale[row if scale.size > 1 else 0] if scale.size else np.float32(1)
            shift = bias[row] if bias.size else np.float32(0)
            # Divisions by the pitch, once for each run of pixels, would cost as much as the sums.
            y, x, at = top, left, begin
            while at < stop:
                target, source = (row * height + y) * width + x, at - begin
                for i in range(min(width, x + stop - at) - x):
                    flat[target + i] = block[source + i] * factor + shift
                at += pitch - x
                y += 1
                x = 0
