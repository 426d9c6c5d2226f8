"""What layers with binary weights and binary activations share."""

from math import prod
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.kinds.packed.forms import Geometry
from weightsmith.kinds.packed.layer import KERNEL_TYPES, Layer, hold
from weightsmith.kinds.packed.operators import transformed, unobserved
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.kinds.packed.xnor_operators import (
    bits_op,
    call_bits,
    call_floats,
    call_pack,
    call_unpack,
    floats_op,
    pack_op,
    run,
    steps_of,
    unpack_op,
)
from weightsmith.packing import Encoded, Format

Gives = Literal["floats", "signs", "bits"]

PLAIN = Geometry((1, 1), (0, 0), (1, 1), 1)


class XnorLayer(Layer):
    """A layer of binary weights that looks at the signs of its inputs alone: -1, and +1 from 0 on; NaN is -1.

    Inputs are floats, or the packed signs that another such layer or pool gives (int64, see `xnor_operators`). Where
    gradients are taken, on other devices and under `torch.func` it computes with floats, and gives them: of signs what
    they are the signs of. Its own inputs' signs then have a straight-through gradient (Hubara et al. 2016).

    Args:
        weight: packed as `binary`.
        bias: float[outputs], or None; for `floats`.
        threshold: int32[outputs], for `signs` and `bits`: an output is +1 where the dot product reaches it, or, where
            the slope is negative, where it does not.
        slope: float32[outputs], by which the pre-activation grows with the dot product.
        offset: float32[outputs], the pre-activation at a dot product of 0.
        gives: `floats`; or -1 and +1 as floats, `signs`, or packed, `bits`.

    Raises:
        InputError: shapes that do not fit.
        SourceError: a weight whose parts do not fit together.
    """

    formats: ClassVar[frozenset[Format]] = frozenset({"binary"})
    dimensions: ClassVar[int]
    threshold: Tensor | None
    slope: Tensor | None
    offset: Tensor | None
    flip: Tensor | None
    like: Tensor

    def __init__(
        self,
        weight: Encoded,
        bias: Tensor | None = None,
        *,
        threshold: Tensor | None = None,
        slope: Tensor | None = None,
        offset: Tensor | None = None,
        gives: Gives = "floats",
        geometry: Geometry = PLAIN,
    ) -> None:
        super().__init__()
        packed = hold(self, PackedWeight(weight, f"words of {weight.alphabet}"), bias)
        self.alphabet = packed.layout.alphabet
        self.geometry = geometry
        self.steps = steps_of(*geometry[:3])
        self.gives: Gives = gives
        if any((value is None) != (gives == "floats") for value in (threshold, slope, offset)):
            raise InputError("signs and bits need a threshold, a slope and an offset, and floats need none")
        for name, value in (("threshold", threshold), ("slope", slope), ("offset", offset)):
            if value is not None and tuple(value.shape) != packed.shape[:1]:
                raise InputError(f"{name} must have the shape [{packed.shape[0]}], not {list(value.shape)}")
            self.register_buffer(name, value)
        self.register_buffer("like", torch.empty(0), persistent=False)  # of the type that `.to()` gave the model
        self.register_buffer("flip", None if slope is None else slope < 0, persistent=False)

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        if self.slope is not None:
            self.flip = self.slope < 0

    def packs(self, inputs: Tensor) -> bool:
        """Whether a kernel takes these inputs."""
        weight = self._modules["weight"]
        assert isinstance(weight, PackedWeight)
        watched = inputs.requires_grad and torch.is_grad_enabled()
        return inputs.dtype in KERNEL_TYPES and not watched and weight.runs_on(inputs) and not transformed()

    def compute(self, inputs: Tensor) -> Tensor:
        """The layer's outputs for float rows or images, or for packed ones of as many dimensions.

        Packed rows may be a flattened image.
        """
        packed = inputs.dtype == torch.int64
        if not packed and not self.packs(inputs):
            return self.compute_dense(inputs)
        if packed and not self.weight.runs_on(inputs):
            raise InputError("packed signs are multiplied on the CPU alone: move layer and signs there, or give floats")
        words = inputs if packed else run(call_pack, pack_op, inputs.float().contiguous())
        if self.dimensions == 2 and words.dim() != 2:
            words = words.flatten(1)  # of an image
        if self._buffers["threshold"] is None:  # past __getattr__, which takes a microsecond
            found = self._floats(words)
        else:
            found = self._bits(words)
            if self.gives == "bits":
                return found
            found = run(call_unpack, unpack_op, found, self.weight.shape[0])
        wanted = self.like.dtype if packed else inputs.dtype
        return found if found.dtype == wanted else found.to(wanted)

    def _floats(self, words: Tensor) -> Tensor:
        weight, given = self._modules["weight"], self._parameters["bias"]
        assert isinstance(weight, PackedWeight)
        if unobserved(words):
            return call_floats(words, weight.ready(), self.shift(), weight.shape, self.alphabet, self.steps)
        bias = None if given is None else given.float()
        first, *scale = weight.parts
        steps = self.geometry[:3]
        found: Tensor = floats_op(words, first, scale[0] if scale else None, bias, weight.shape, self.alphabet, *steps)
        return found

    def _bits(self, words: Tensor) -> Tensor:
        weight = self.weight
        assert self.threshold is not None
        assert self.flip is not None
        if unobserved(words):
            thresholds = self.threshold, self.flip
            return call_bits(words, weight.ready(), thresholds, weight.shape, self.alphabet, self.steps)
        steps = self.geometry[:3]
        found: Tensor = bits_op(words, weight.parts[0], self.threshold, self.flip, weight.shape, self.alphabet, *steps)
        return found

    def compute_dense(self, inputs: Tensor) -> Tensor:
        """The same with floats throughout; where signs are wanted, what they are the signs of.

        Pools and the activation behind then see what they saw in training, and so do their gradients.
        """
        signs = sign(inputs)
        weight, bias = self.weight.dense().to(signs.dtype), self.bias
        offset = None if bias is None else bias.to(signs.dtype)
        if self.dimensions == 2:
            found = F.linear(signs.flatten(1), weight.flatten(1), offset)
        else:
            found = F.conv2d(signs, weight, offset, *self.geometry)
        if self.threshold is None or self.slope is None or self.offset is None:
            return found.to(inputs.dtype)
        across = (-1,) if found.dim() == 2 else (-1, 1, 1)
        slope, offset = self.slope.to(found.dtype).view(across), self.offset.to(found.dtype).view(across)
        reached = (found >= self.threshold.view(across)) != (slope < 0)
        wanted = torch.where(reached, 0.0, -torch.finfo(torch.float32).tiny).to(found.dtype)
        values = slope * found + offset
        # rounding may have it on the wrong side of zero, where the threshold is exact
        return torch.where((values >= 0) == reached, values, wanted).to(inputs.dtype)

    def signed(self) -> tuple[Tensor, Tensor | None]:
        """Dense weight and bias of a layer whose outputs are these, or have these signs once the slope's is applied.

        Biases at the thresholds lie halfway between the dot products that a layer can have, so that nothing is rounded.
        """
        weight = self.weight.dense()
        if self.threshold is None:
            return weight, self.bias
        reach = 1 + prod(self.weight.shape[1:])
        return weight, 0.5 - self.threshold.clamp(-reach, reach).float()


def sign(inputs: Tensor) -> Tensor:
    """-1, and +1 from 0 on, with the gradient of a clipped straight-through estimator."""
    values = torch.where(inputs >= 0, 1.0, -1.0).to(inputs.dtype)
    if not (inputs.requires_grad and torch.is_grad_enabled()):
        return values
    clipped = inputs.clamp(-1, 1)
    return values + (clipped - clipped.detach())
