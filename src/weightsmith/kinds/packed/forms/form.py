"""What every resident form can do."""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from weightsmith.packing import Encoded, Layout
from weightsmith.sources.module import as_numpy

Floats = NDArray[np.float32]
Parts = Sequence[Tensor]

_EXTENDED = {
    "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
}
"""Types that NumPy itself lacks."""


class Geometry(NamedTuple):
    """How a two-dimensional convolution with zero padding moves over its input; pairs are (vertical, horizontal)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Form(abc.ABC):
    """One way to hold a packed weight in memory.

    Its parts are tensors that travel with a module. A plain form is decoded by torch alone, on any device, and by
    nothing else; any other is what a kernel for the CPU reads.

    Attributes:
        name: in `FORMS`.
        plain: whether torch decodes it.
    """

    name: str
    plain: bool = False

    @abc.abstractmethod
    def reside(self, encoded: Encoded) -> list[Tensor]:
        """The parts for a weight that was checked, on the CPU."""

    @abc.abstractmethod
    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """Undo `reside`; the parts are on the CPU, and `values` is `Encoded.values`."""

    @abc.abstractmethod
    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """float32[shape], on the device of the parts."""

    def ready(self, parts: Parts, shape: Sequence[int]) -> Any:
        """What the kernel takes in place of the parts: views of them, which are made once and kept."""
        raise NotImplementedError(self.name)

    def linear(self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None) -> Floats:
        """float32[batch, outputs] of float32[batch, inputs]."""
        raise NotImplementedError(self.name)

    def convolution(
        self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None, geometry: Geometry
    ) -> Floats:
        """float32[batch, outputs, height, width] of float32[batch, channels, height, width]."""
        raise NotImplementedError(self.name)


def array(tensor: Tensor) -> NDArray[np.generic]:
    """A view of a tensor on the CPU as an array; of bfloat16 as `ml_dtypes` has it."""
    values = tensor.detach()
    found: NDArray[np.generic] = as_numpy(values) if values.dtype is torch.bfloat16 else values.numpy()
    return found


def floats(tensor: Tensor) -> Floats:
    """A view of a float32 tensor on the CPU as an array."""
    found: Floats = (tensor.detach() if tensor.requires_grad else tensor).numpy()
    return found


def optional_floats(tensor: Tensor | None) -> Floats | None:
    """The same of what may not be there."""
    return None if tensor is None else floats(tensor)


def tensor(values: NDArray[np.generic]) -> Tensor:
    """The array as a tensor, which may share its memory; a read-only one is copied. `ml_dtypes` keep their bits."""
    if values.dtype.name in _EXTENDED:
        return tensor(values.view(f"uint{8 * values.dtype.itemsize}")).view(_EXTENDED[values.dtype.name])
    contiguous = np.ascontiguousarray(values).reshape(values.shape)  # it gives scalars an axis
    return torch.from_numpy(contiguous if contiguous.flags.writeable else contiguous.copy())


def scaled(parts: Parts, planes: int) -> Tensor | None:
    """The scale behind a form's first parts, float32[1] or float32[rows]; None where there is none."""
    return parts[planes] if len(parts) > planes else None
