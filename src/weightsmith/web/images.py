"""Whether the rows of a weight's matrix are images, and of which shape."""

import math

from weightsmith.analysis.images import ImageShape, kernel_shape, pixel_shapes
from weightsmith.names import by_depth
from weightsmith.web.library import Opened
from weightsmith.weight import MATRIX_ROLES


def shapes_of(opened: Opened, index: int) -> tuple[ImageShape, ...]:
    """What images its rows may be, the likeliest first; none where they are no images.

    A convolution's filters are images of one known shape. The rows of a linear layer are taken for images where it is
    the first of the model's matrices and its inputs could be a square.
    """
    weight = opened.weight(index)
    filters = kernel_shape(weight, opened.source.file_format)
    if filters is not None:
        return (filters,)
    if weight.role != "linear" or len(weight.shape) != 2 or 0 in weight.shape or not _is_first(opened, index):
        return ()
    return pixel_shapes(math.prod(weight.shape) // weight.shape[weight.info.output_axis])


def has_images(opened: Opened, index: int) -> bool:
    """Whether the rows of a weight can be shown as images."""
    return bool(shapes_of(opened, index))


def _is_first(opened: Opened, index: int) -> bool:
    matrices = [weight.name for weight in opened.weights if weight.role in MATRIX_ROLES and len(weight.shape) > 1]
    return by_depth(matrices)[0] == opened.weight(index).name
