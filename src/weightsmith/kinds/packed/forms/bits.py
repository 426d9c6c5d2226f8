"""Rows of bits as they are on disk, decoded by torch: binary and ternary weights where no kernel reads them."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from weightsmith.kinds.packed.forms.form import Form, Parts, array, scaled, tensor
from weightsmith.packing import Alphabet, Encoded, Layout, matrix_shape


def unpack_bits(bits: Tensor, columns: int) -> Tensor:
    """bool[rows, columns] of uint8[rows, ceil(columns / 8)], the lowest bit first; traceable, on any device."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return ((bits.unsqueeze(-1) >> shifts) & 1).flatten(1)[:, :columns].bool()


class Bits(Form):
    """One plane of bits, and a scale where there is one."""

    plain = True

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet: Alphabet = alphabet
        self.name = f"bits of {alphabet}"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        return [tensor(encoded.tensors[name]) for name in ("bits", "scale") if name in encoded.tensors]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        tensors = dict(zip(("bits", "scale"), map(array, parts), strict=False))
        return Encoded("binary", layout.shape, tensors, self.alphabet)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        return decode_bits(unpack_bits(parts[0], matrix_shape(shape)[1]), scaled(parts, 1), self.alphabet, shape)


class Planes(Form):
    """Two planes of bits, and a scale where there is one."""

    plain = True
    name: str = "planes"
    names: ClassVar = ("plus", "minus", "scale")

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        return [tensor(encoded.tensors[name]) for name in self.names if name in encoded.tensors]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        return Encoded("ternary", layout.shape, dict(zip(self.names, map(array, parts), strict=False)))

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        columns = matrix_shape(shape)[1]
        plus, minus = unpack_bits(parts[0], columns), unpack_bits(parts[1], columns)
        return decode_planes(plus, minus, scaled(parts, 2), shape)


def decode_bits(bits: Tensor, scale: Tensor | None, alphabet: str, shape: Sequence[int]) -> Tensor:
    """float32[shape] of bool[rows, columns]."""
    one = torch.ones(1, device=bits.device) if scale is None else scale
    one = one.unsqueeze(-1)
    return torch.where(bits, one, -one if alphabet == "signs" else torch.zeros_like(one)).reshape(tuple(shape))


def decode_planes(plus: Tensor, minus: Tensor, scale: Tensor | None, shape: Sequence[int]) -> Tensor:
    """float32[shape] of two bool[rows, columns]; +0 where neither is set, whatever the scale."""
    one = torch.ones(1, device=plus.device) if scale is None else scale
    one = one.unsqueeze(-1)
    return torch.where(plus, one, torch.where(minus, -one, torch.zeros_like(one))).reshape(tuple(shape))
