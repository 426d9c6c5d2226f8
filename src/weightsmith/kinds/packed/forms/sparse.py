"""Sparse weights as their kernels read them."""

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from weightsmith.kinds.packed.forms.form import Floats, Form, Geometry, Parts, array, tensor
from weightsmith.kinds.packed.forms.recode import recode
from weightsmith.packing import Encoded, Layout, decode, matrix_shape

_SIGNED = {"uint16": np.int16, "uint32": np.int32, "uint64": np.int64}
"""Types in which torch keeps unsigned words, whose bits are the same."""


@cache
def _kernels() -> SimpleNamespace:
    """The kernels, which load numba, when the first of them is needed; to import at each call takes microseconds."""
    from weightsmith.kernels import sparse

    return SimpleNamespace(linear=sparse.sparse_linear, convolution=sparse.sparse_convolution)


class Sparse(Form):
    """One of the forms of `weightsmith.kernels.sparse`, its arrays in the order of its fields.

    Args:
        way: a name from its `FORMS`.
    """

    def __init__(self, way: str) -> None:
        self.way = way
        self.name = f"sparse {way}"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        from weightsmith.kernels.sparse import from_dense

        weight = from_dense(decode(encoded).reshape(encoded.matrix), self.way)
        arrays = (getattr(weight, field.name) for field in fields(weight) if field.name != "shape")
        return [tensor(values.view(_SIGNED.get(values.dtype.name, values.dtype))) for values in arrays]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        return recode(self.dense(parts, layout.shape), layout, values)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        from weightsmith.kernels.sparse import to_dense

        return torch.from_numpy(to_dense(self.ready(parts, shape))).reshape(tuple(shape))

    def linear(self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None) -> Floats:
        """As `Form.linear`."""
        found: Floats = _kernels().linear(inputs, ready, bias)
        return found

    def convolution(
        self, inputs: Floats, ready: Any, shape: Sequence[int], bias: Floats | None, geometry: Geometry
    ) -> Floats:
        """As `Form.convolution`."""
        found: Floats = _kernels().convolution(inputs, ready, bias, kernel=(shape[2], shape[3]), **geometry._asdict())
        return found

    def ready(self, parts: Parts, shape: Sequence[int]) -> Any:
        """As `Form.ready`: the kernel's own record, without the checks of every index that `reside` went through."""
        from weightsmith.kernels.sparse import Bitmask, Csr, Signs

        made: Any = {"csr": Csr, "bitmask": Bitmask, "signs": Signs}[self.way]
        weight = object.__new__(made)
        object.__setattr__(weight, "shape", matrix_shape(shape))
        for field, part in zip(fields(made)[1:], parts, strict=True):
            values = array(part)
            if field.name != "starts" and values.dtype.kind == "i":
                values = values.view(f"u{values.dtype}")
            object.__setattr__(weight, field.name, values)
        return weight
