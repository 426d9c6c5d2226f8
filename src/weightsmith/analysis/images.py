"""Rows of a weight's matrix as small images: what each filter or first-layer neuron looks for in its input."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import inputs_last
from weightsmith.sources import Weight

SMALLEST = 4
"""Pixels of the shorter side from which the inputs of a linear layer are taken for an image."""

LARGEST = 256
"""Pixels of the longer side up to which rows are shown as images."""

_LONGEST = 4
"""How many times longer than high, or higher than long, an image may be that a layer's inputs are taken for."""


@dataclass(frozen=True)
class ImageShape:
    """How the columns of a matrix lie in an image.

    Attributes:
        channels, height, width: their product is the number of columns.
        channels_last: whether the channels of a pixel follow each other, as in Keras, and not its neighbors.
        assumed: whether only the number of columns speaks for it.
    """

    channels: int
    height: int
    width: int
    channels_last: bool = False
    assumed: bool = False

    def of_rows(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The images [n, channels, height, width] of rows [n, columns]; a view."""
        if self.channels_last:
            return np.moveaxis(rows.reshape(-1, self.height, self.width, self.channels), 3, 1)
        return rows.reshape(-1, self.channels, self.height, self.width)


def kernel_shape(weight: Weight, file_format: str = "") -> ImageShape | None:
    """The shape of the filters of a convolution over two dimensions; None for all other weights and for 1 x 1 filters.

    Args:
        weight: of a source.
        file_format: the source's, as only it tells where TFLite keeps the inputs.
    """
    shape = weight.shape
    if weight.role != "conv" or len(shape) != 4 or 0 in shape:
        return None
    axis = weight.info.output_axis % 4
    first, second, third = shape[:axis] + shape[axis + 1 :]
    last = inputs_last(weight, file_format)
    height, width = (first, second) if last else (second, third)
    if max(height, width) == 1 or max(height, width) > LARGEST:
        return None
    return ImageShape(third if last else first, height, width, last)


def pixel_shapes(columns: int) -> tuple[ImageShape, ...]:
    """What images the inputs of a layer may be: of one channel or three, square ones first; empty without a square.

    Args:
        columns: inputs of the layer.
    """
    found = []
    for channels in (1, 3):
        pixels, rest = divmod(columns, channels)
        for height in range(SMALLEST, min(LARGEST, pixels // SMALLEST) + 1) if not rest else ():
            width = pixels // height
            if height * width == pixels and width <= LARGEST and max(width, height) <= _LONGEST * min(width, height):
                orders = (False, True) if channels > 1 else (False,)
                found += [ImageShape(channels, height, width, last, assumed=True) for last in orders]
    found.sort(key=lambda one: (one.height != one.width, one.channels, abs(one.height - one.width)))
    return tuple(found) if found and found[0].height == found[0].width else ()


def strongest_channels(images: NDArray[Any]) -> NDArray[np.int64]:
    """int64[n]: the channel of each image [n, channels, height, width] with the largest norm over its finite values.

    The strongest channel and not the mean of all, in which opposite ones would cancel.
    """
    wide = np.nan_to_num(images.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    # By their largest value first, so that the squares stay within range.
    largest = np.abs(wide).max(axis=(1, 2, 3), initial=0.0)
    wide /= np.where(largest > 0, largest, 1.0)[:, None, None, None]
    return np.asarray(np.square(wide).sum(axis=(2, 3)).argmax(axis=1), np.int64)
