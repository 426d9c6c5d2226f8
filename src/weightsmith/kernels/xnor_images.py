"""Images of signs: packed along the channels, so that one pixel is a few words, and pooled as they are."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from weightsmith.errors import InputError
from weightsmith.kernels.parallel import map_blocks
from weightsmith.kernels.xnor_words import WORD, not_negative, pack_words, unpack_signs, words_in

_PIXELS = 16
_BLOCK = 1 << 20
"""Values per task when an image is packed."""


def _emit_plane(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    values, position, words, to, bit = arguments
    values, words = (
        context.make_array(kind)(context, builder, value)
        for kind, value in zip((signature.args[0], signature.args[2]), (values, words), strict=True)
    )
    floats, lanes = ir.VectorType(ir.FloatType(), _PIXELS), ir.VectorType(ir.IntType(WORD), _PIXELS)
    pixels = builder.load(builder.bitcast(builder.gep(values.data, [position]), floats.as_pointer()), align=4)
    # An ordered comparison: NaN is not at least 0.
    signs = builder.fcmp_ordered(">=", pixels, ir.Constant(floats, [0.0] * _PIXELS))
    place = builder.bitcast(builder.gep(words.data, [to]), lanes.as_pointer())
    lane = builder.insert_element(ir.Constant(lanes, ir.Undefined), bit, ir.Constant(ir.IntType(32), 0))
    bits = builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(ir.IntType(32), _PIXELS), [0] * _PIXELS))
    found = builder.select(signs, bits, ir.Constant(lanes, [0] * _PIXELS))
    builder.store(builder.or_(builder.load(place, align=8), found), place, align=8)
    return context.get_dummy_value()


def _type_plane(typing: Any, values: Any, position: Any, words: Any, to: Any, bit: Any) -> Any:
    del typing, position, to, bit
    return types.void(values, types.int64, words, types.int64, types.uint64), _emit_plane


_add_plane: Any = intrinsic(_type_plane)
"""Set `bit` in those of 16 words, from `words[to:]`, whose value, from `values[position:]`, is at least 0."""


@njit(nogil=True, cache=True)
def _pack(values: Any, channels: int, size: int, begin: int, end: int, words: Any) -> None:
    """Pack flat float32[batch, channels, size] into flat uint64[batch, size, words], images `begin` to `end`."""
    each = (channels + WORD - 1) // WORD
    gathered = np.empty(size + _PIXELS, np.uint64)
    whole = size // _PIXELS * _PIXELS
    for image in range(begin, end):
        for word in range(each):
            gathered[:] = 0
            for channel in range(word * WORD, min(word * WORD + WORD, channels)):
                bit = np.uint64(1) << np.uint64(channel % WORD)
                plane = (image * channels + channel) * size
                for pixel in range(0, whole, _PIXELS):
                    _add_plane(values, plane + pixel, gathered, pixel, bit)
                for pixel in range(whole, size):
                    if values[plane + pixel] >= 0:
                        gathered[pixel] |= bit
            for pixel in range(size):
                words[(image * size + pixel) * each + word] = gathered[pixel]


def pack_image(inputs: NDArray[Any], threads: int | None = None) -> NDArray[np.uint64]:
    """Pack the signs of images along their channels; the signs are those of `pack_signs`.

    Args:
        inputs: float32[batch, channels, height, width]; any other type of number will do, more slowly.
        threads: most threads to use; by default the package's.

    Returns:
        uint64[batch, height, width, ceil(channels / 64)].

    Raises:
        InputError: `inputs` does not have four dimensions.
    """
    if inputs.ndim != 4:
        raise InputError(f"images to pack must have four dimensions, not be an array of shape {list(inputs.shape)}")
    if inputs.dtype != np.float32:
        return pack_words(np.ascontiguousarray(not_negative(inputs).transpose(0, 2, 3, 1)))
    batch, channels, height, width = inputs.shape
    words = np.empty((batch, height, width, words_in(channels)), np.uint64)
    values, target, size = inputs.ravel(), words.reshape(-1), height * width
    if values.size <= _BLOCK:
        _pack(values, channels, size, 0, batch, target)
    else:
        images = max(_BLOCK // 4 // (channels * size), 1)
        map_blocks(lambda begin, end: _pack(values, channels, size, begin, end, target), batch, images, threads)
    return words


def unpack_image(image: NDArray[np.uint64], channels: int) -> NDArray[np.float32]:
    """Give a packed image back as numbers.

    Args:
        image: uint64[batch, height, width, ceil(channels / 64)].
        channels: of what was packed.

    Returns:
        float32[batch, channels, height, width] of -1 and +1, contiguous.

    Raises:
        InputError: the image does not hold so many channels.
    """
    if image.ndim != 4:
        raise InputError(f"a packed image has four dimensions, not shape {list(image.shape)}")
    return np.ascontiguousarray(unpack_signs(image, channels).transpose(0, 3, 1, 2))


def pool_bits(
    image: NDArray[np.uint64],
    kernel: tuple[int, int],
    stride: tuple[int, int] | None = None,
    flip: NDArray[np.bool_] | None = None,
    padding: tuple[int, int] = (0, 0),
) -> NDArray[np.uint64]:
    """Max pooling of what was compared with thresholds, done on the bits that came of it.

    The sign of a batch norm of a maximum is the maximum of the signs where the norm's slope is positive, and their
    minimum where it is negative. Padding, as in torch, takes no part.

    Args:
        image: uint64[batch, height, width, words].
        kernel: height and width of the window.
        stride: of the window; as large as the kernel by default.
        flip: bool[channels]; where the slope is negative, as given to `xnor_convolution_bits`; none by default.
        padding: rows and columns on each side, at most half the kernel.

    Returns:
        uint64[batch, pooled height, pooled width, words].

    Raises:
        InputError: types or shapes are others, or the window does not fit.
    """
    down, across = kernel if stride is None else stride
    if image.ndim != 4 or image.dtype != np.uint64:
        raise InputError(
            f"a packed image must be uint64[batch, height, width, words], not {image.dtype}{list(image.shape)}"
        )
    if min(*kernel, down, across) < 1 or min(padding) < 0 or 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise InputError(f"cannot pool by {kernel} with stride {(down, across)} and padding {padding}")
    height, width = (
        (size + 2 * pad - window) // step + 1
        for size, pad, window, step in zip(image.shape[1:3], padding, kernel, (down, across), strict=True)
    )
    if height < 1 or width < 1:
        raise InputError(f"an image of {image.shape[1]} by {image.shape[2]} is smaller than the window {kernel}")
    turned = _turned(flip, image.shape[3])
    pooled = np.empty((image.shape[0], height, width, image.shape[3]), np.uint64)
    _pool(np.ascontiguousarray(image), kernel, (down, across), padding, turned, pooled)
    return pooled


def _turned(flip: NDArray[np.bool_] | None, words: int) -> NDArray[np.uint64]:
    """Flips as one row of words."""
    turned = np.zeros(words, np.uint64)
    if flip is not None:
        if flip.dtype != np.bool_ or flip.ndim != 1 or words_in(flip.size) != words:
            raise InputError(f"flip must be bool[channels] for {words} words, not {flip.dtype}{list(flip.shape)}")
        turned[:] = pack_words(flip)
    return turned


@njit(nogil=True, cache=True)
def _pool(image: Any, kernel: Any, stride: Any, padding: Any, turned: Any, pooled: Any) -> None:
    """An or of bits; where turned, of their opposites, and back."""
    batch, height, width, words = pooled.shape
    for sample in range(batch):
        for row in range(height):
            top = row * stride[0] - padding[0]
            for column in range(width):
                left = column * stride[1] - padding[1]
                for word in range(words):
                    found = np.uint64(0)
                    for y in range(max(top, 0), min(top + kernel[0], image.shape[1])):
                        for x in range(max(left, 0), min(left + kernel[1], image.shape[2])):
                            found |= image[sample, y, x, word] ^ turned[word]
                    pooled[sample, row, column, word] = found ^ turned[word]
