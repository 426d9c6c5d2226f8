"""Kernels for binary activations as torch operators; packed signs are int64 tensors with the bits of unsigned words.

Rows are int64[batch, words], images int64[batch, height, width, words].
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightsmith.kinds.packed.forms import Floats, Geometry, floats, optional_floats
from weightsmith.kinds.packed.operators import geometry_of, output_size, unobserved
from weightsmith.packing import Array

WORD = 64


def words_in(columns: int) -> int:
    """How many words hold so many signs."""
    return -(-columns // WORD)


@cache
def _kernels() -> SimpleNamespace:
    """The kernels, which load numba, when the first of them is needed; to import at each call takes microseconds."""
    from weightsmith.kernels import xnor, xnor_convolution, xnor_images, xnor_words

    return SimpleNamespace(
        pack_signs=xnor_words.pack_signs,
        pack_image=xnor_images.pack_image,
        unpack_signs=xnor_words.unpack_signs,
        unpack_image=xnor_images.unpack_image,
        pool_bits=xnor_images.pool_bits,
        linear=xnor.xnor_linear,
        linear_bits=xnor.xnor_linear_bits,
        convolution=xnor_convolution.xnor_convolution,
        convolution_bits=xnor_convolution.xnor_convolution_bits,
    )


def _words(tensor: Tensor) -> Any:
    return tensor.numpy().view(np.uint64)


def _as_tensor(words: Array) -> Tensor:
    found: Tensor = torch.from_numpy(words.view(np.int64))
    return found


def call_pack(inputs: Tensor) -> Tensor:
    """Signs of float[batch, columns] or float[batch, channels, height, width], packed."""
    values = floats(inputs)
    return _as_tensor(_kernels().pack_signs(values) if values.ndim == 2 else _kernels().pack_image(values))


def call_unpack(words: Tensor, channels: int) -> Tensor:
    """float32 -1 and +1 of packed rows or images, channels second."""
    return torch.from_numpy(
        (_kernels().unpack_signs if words.dim() == 2 else _kernels().unpack_image)(_words(words), channels)
    )


def call_floats(
    words: Tensor, ready: Any, bias: Floats | None, shape: Sequence[int], alphabet: str, steps: Any
) -> Tensor:
    """`scale * dot + bias`, float32; a linear layer where the words are rows."""
    weight, scale = ready
    given = scale, bias
    if words.dim() == 2:
        columns = prod(shape[1:])
        return torch.from_numpy(_kernels().linear(_words(words), weight, columns, *given, alphabet=alphabet))
    rows = weight.reshape(shape[0], shape[2], shape[3], words_in(shape[1]))
    return torch.from_numpy(_kernels().convolution(_words(words), rows, shape[1], *given, alphabet=alphabet, **steps))


def call_bits(
    words: Tensor, ready: Any, thresholds: tuple[Tensor, Tensor], shape: Sequence[int], alphabet: str, steps: Any
) -> Tensor:
    """Bit `(dot >= threshold) != flip`, packed."""
    weight, _ = ready
    given = thresholds[0].numpy(), thresholds[1].numpy()
    if words.dim() == 2:
        columns = prod(shape[1:])
        return _as_tensor(_kernels().linear_bits(_words(words), weight, columns, *given, alphabet=alphabet))
    rows = weight.reshape(shape[0], shape[2], shape[3], words_in(shape[1]))
    return _as_tensor(_kernels().convolution_bits(_words(words), rows, shape[1], *given, alphabet=alphabet, **steps))


def call_pool(words: Tensor, flip: Tensor | None, kernel: Sequence[int], stride: Sequence[int], padding: Any) -> Tensor:
    """Max pooling of a packed image; the minimum where flipped."""
    turned = None if flip is None else flip.numpy()
    found = _kernels().pool_bits(
        _words(words), (kernel[0], kernel[1]), (stride[0], stride[1]), turned, (padding[0], padding[1])
    )
    return _as_tensor(found)


def steps_of(stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The geometry of a convolution as the kernels take it."""
    return {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation)}


@torch.library.custom_op("weightsmith::pack_signs", mutates_args=(), device_types="cpu")
def pack_op(inputs: Tensor) -> Tensor:
    """`call_pack` as an operator."""
    return call_pack(inputs)


@pack_op.register_fake
def _(inputs: Tensor) -> Tensor:
    batch, channels, *size = inputs.shape
    return inputs.new_empty((batch, *size, words_in(channels)), dtype=torch.int64)


@torch.library.custom_op("weightsmith::unpack_signs", mutates_args=(), device_types="cpu")
def unpack_op(words: Tensor, channels: int) -> Tensor:
    """`call_unpack` as an operator."""
    return call_unpack(words, channels)


@unpack_op.register_fake
def _(words: Tensor, channels: int) -> Tensor:
    return words.new_empty((words.shape[0], channels, *words.shape[1:-1]), dtype=torch.float32)


@torch.library.custom_op("weightsmith::xnor", mutates_args=(), device_types="cpu")
def floats_op(
    words: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    shape: Sequence[int],
    alphabet: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """`call_floats` as an operator."""
    ready = _words(weight), optional_floats(scale)
    return call_floats(words, ready, optional_floats(bias), shape, alphabet, steps_of(stride, padding, dilation))


@floats_op.register_fake
def _(
    words: Tensor,
    weight: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    shape: Sequence[int],
    alphabet: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    size = _size(words, shape, geometry_of(stride, padding, dilation, 1))
    return words.new_empty((words.shape[0], shape[0], *size), dtype=torch.float32)


@torch.library.custom_op("weightsmith::xnor_bits", mutates_args=(), device_types="cpu")
def bits_op(
    words: Tensor,
    weight: Tensor,
    threshold: Tensor,
    flip: Tensor,
    shape: Sequence[int],
    alphabet: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """`call_bits` as an operator."""
    steps = steps_of(stride, padding, dilation)
    return call_bits(words, (_words(weight), None), (threshold, flip), shape, alphabet, steps)


@bits_op.register_fake
def _(
    words: Tensor,
    weight: Tensor,
    threshold: Tensor,
    flip: Tensor,
    shape: Sequence[int],
    alphabet: str,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    size = _size(words, shape, geometry_of(stride, padding, dilation, 1))
    return words.new_empty((words.shape[0], *size, words_in(shape[0])))


@torch.library.custom_op("weightsmith::pool_signs", mutates_args=(), device_types="cpu")
def pool_op(
    words: Tensor, flip: Tensor | None, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """`call_pool` as an operator."""
    return call_pool(words, flip, kernel, stride, padding)


@pool_op.register_fake
def _(
    words: Tensor, flip: Tensor | None, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    size = output_size(words.shape[1:3], kernel, geometry_of(stride, padding, (1, 1), 1))
    return words.new_empty((words.shape[0], *size, words.shape[3]))


def _size(words: Tensor, shape: Sequence[int], geometry: Geometry) -> tuple[int, ...]:
    """Height and width of the output; nothing for a linear layer."""
    return () if words.dim() == 2 else output_size(words.shape[1:3], shape[2:], geometry)


def run(call: Callable[..., Tensor], operator: Callable[..., Tensor], first: Tensor, *others: Any) -> Tensor:
    """A call past the dispatcher where nobody is watching, else as an operator."""
    return (call if unobserved(first) else operator)(first, *others)
