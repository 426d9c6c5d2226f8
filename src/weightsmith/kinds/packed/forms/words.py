"""Words of signs, as the kernels for binary weights with binary activations read them."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightsmith.kinds.packed.forms.bits import decode_bits
from weightsmith.kinds.packed.forms.form import Form, Parts, array, floats, scaled, tensor
from weightsmith.packing import Alphabet, Array, Encoded, Layout, matrix_shape


class Words(Form):
    """int64[outputs, words], the bits of unsigned words, and a scale where there is one.

    A weight of four dimensions is ordered by pixel and then by channel, as packed images are.
    """

    def __init__(self, alphabet: Alphabet) -> None:
        self.alphabet: Alphabet = alphabet
        self.name = f"words of {alphabet}"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        from weightsmith.kernels.xnor import words_of
        from weightsmith.kernels.xnor_convolution import convolution_words_of

        bits, shape = encoded.tensors["bits"], encoded.shape
        if len(shape) == 4:
            words = convolution_words_of(bits, shape[1], (shape[2], shape[3]))
        else:
            words = words_of(bits, shape[1])
        resident = torch.from_numpy(words.reshape(shape[0], prod(words.shape[1:])).view(np.int64))
        return [resident, *(tensor(encoded.tensors[name]) for name in ("scale",) if name in encoded.tensors)]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        scale = zip(("scale",), map(array, parts[1:]), strict=False)
        return Encoded("binary", layout.shape, {"bits": _bits(parts[0], layout.shape), **dict(scale)}, self.alphabet)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        from weightsmith.kernels.bits import unpack_rows

        positive = torch.from_numpy(unpack_rows(_bits(parts[0], shape), matrix_shape(shape)[1]))
        return decode_bits(positive, scaled(parts, 1), self.alphabet, shape)

    def ready(self, parts: Parts, shape: Sequence[int]) -> Any:
        """As `Form.ready`: uint64[outputs, words], and the scale."""
        words = parts[0].numpy().view(np.uint64)
        scale = scaled(parts, 1)
        return words, None if scale is None else floats(scale)


def _bits(part: Tensor, shape: Sequence[int]) -> Array:
    from weightsmith.kernels.xnor import bits_of
    from weightsmith.kernels.xnor_convolution import convolution_bits_of
    from weightsmith.kernels.xnor_words import words_in

    words = part.numpy().view(np.uint64)
    if len(shape) == 4:
        return convolution_bits_of(words.reshape(shape[0], shape[2], shape[3], words_in(shape[1])), shape[1])
    return bits_of(words, shape[1])
