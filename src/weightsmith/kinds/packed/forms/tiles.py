"""Tiles of bits, as the kernels for binary and ternary weights with float32 activations read them."""

from collections.abc import Sequence
from functools import cache
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightsmith.kinds.packed.forms.bits import decode_bits, decode_planes
from weightsmith.kinds.packed.forms.form import Floats, Form, Geometry, Parts, array, floats, scaled, tensor
from weightsmith.packing import Alphabet, Array, Encoded, Layout, matrix_shape


@cache
def _kernels() -> SimpleNamespace:
    """The kernels, which load numba, when the first of them is needed; to import at each call takes microseconds."""
    from weightsmith.kernels import binary, binary_convolution, binary_int8

    return SimpleNamespace(
        binary=binary.binary_linear,
        ternary=binary.ternary_linear,
        rounded=binary_int8.binary_linear_int8,
        convolution=binary_convolution.binary_convolution,
    )


def _taps(shape: Sequence[int]) -> int:
    """Places of a kernel: 1 for a linear layer."""
    return prod(shape[2:])


def _tiled(bits: Array, shape: Sequence[int]) -> Tensor:
    from weightsmith.kernels.binary import tile

    tiles = tile(bits, matrix_shape(shape)[1], _taps(shape))
    return torch.from_numpy(tiles.view(np.int32))  # torch computes little with unsigned words, and needs no copy


def _tiles(part: Tensor) -> Any:
    return part.numpy().view(np.uint32)


def _bits(part: Tensor, shape: Sequence[int]) -> Array:
    from weightsmith.kernels.binary import untile

    return untile(_tiles(part), *matrix_shape(shape), _taps(shape))


def _plane(part: Tensor, shape: Sequence[int]) -> Tensor:
    from weightsmith.kernels.bits import unpack_rows

    return torch.from_numpy(unpack_rows(_bits(part, shape), matrix_shape(shape)[1]))


def _scale(parts: Parts, planes: int) -> Floats | None:
    found = scaled(parts, planes)
    return None if found is None else floats(found)


class Tiles(Form):
    """One plane of tiles, and a scale where there is one; convolutions included.

    Args:
        alphabet: of the weight.
        rounded: whether a linear layer rounds its inputs to 8 bits, each row by its own step.
    """

    def __init__(self, alphabet: Alphabet, *, rounded: bool = False) -> None:
        self.alphabet: Alphabet = alphabet
        self.rounded = rounded
        self.name = f"tiles of {alphabet}{', int8 inputs' if rounded else ''}"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        tiles = _tiled(encoded.tensors["bits"], encoded.shape)
        return [tiles, *(tensor(encoded.tensors[name]) for name in ("scale",) if name in encoded.tensors)]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        scale = zip(("scale",), map(array, parts[1:]), strict=False)
        return Encoded("binary", layout.shape, {"bits": _bits(parts[0], layout.shape), **dict(scale)}, self.alphabet)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        return decode_bits(_plane(parts[0], shape), scaled(parts, 1), self.alphabet, shape)

    def ready(self, parts: Parts, shape: Sequence[int]) -> Any:
        """As `Form.ready`."""
        return _tiles(parts[0]), _scale(parts, 1)

    def linear(self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None) -> Floats:
        """As `Form.linear`."""
        rows, columns = shape
        product = _kernels().rounded if self.rounded else _kernels().binary
        tiles, scale = ready
        found: Floats = product(inputs, tiles, rows, columns, alphabet=self.alphabet, scale=scale, bias=bias)
        return found

    def convolution(
        self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None, geometry: Geometry
    ) -> Floats:
        """As `Form.convolution`."""
        tiles, scale = ready
        found: Floats = _kernels().convolution(
            inputs,
            tiles,
            *matrix_shape(shape),
            kernel=(shape[2], shape[3]),
            alphabet=self.alphabet,
            scale=scale,
            bias=bias,
            **geometry._asdict(),
        )
        return found


class PlaneTiles(Form):
    """Two planes of tiles, and a scale where there is one; linear layers alone."""

    name: str = "tiles of planes"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        tiles = [_tiled(encoded.tensors[name], encoded.shape) for name in ("plus", "minus")]
        return tiles + [tensor(encoded.tensors[name]) for name in ("scale",) if name in encoded.tensors]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        planes = {name: _bits(part, layout.shape) for name, part in zip(("plus", "minus"), parts[:2], strict=True)}
        scale = zip(("scale",), map(array, parts[2:]), strict=False)
        return Encoded("ternary", layout.shape, {**planes, **dict(scale)})

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        return decode_planes(_plane(parts[0], shape), _plane(parts[1], shape), scaled(parts, 2), shape)

    def ready(self, parts: Parts, shape: Sequence[int]) -> Any:
        """As `Form.ready`."""
        return _tiles(parts[0]), _tiles(parts[1]), _scale(parts, 2)

    def linear(self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None) -> Floats:
        """As `Form.linear`."""
        rows, columns = shape
        plus, minus, scale = ready
        found: Floats = _kernels().ternary(inputs, plus, minus, rows, columns, scale=scale, bias=bias)
        return found
