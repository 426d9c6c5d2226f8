"""Where the values of a sparse weight are, decoded by torch: for devices and types that no kernel serves."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weightsmith.kinds.packed.forms.form import Form, Parts, tensor
from weightsmith.kinds.packed.forms.recode import recode
from weightsmith.packing import Encoded, Layout, decode

_MOST = 1 << 31
"""Elements that 32-bit positions reach."""


class Coordinates(Form):
    """Positions in the flattened weight, int32 or int64[nnz], and their values, float32[nnz]."""

    plain = True
    name: str = "coordinates"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        flat = decode(encoded).reshape(-1)
        places = np.flatnonzero(flat)
        return [tensor(places.astype(np.int32 if flat.size < _MOST else np.int64)), tensor(flat[places])]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        return recode(self.dense(parts, layout.shape), layout, values)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        places, values = parts
        found = torch.zeros(int(np.prod(shape)), dtype=torch.float32, device=values.device)
        return found.index_put((places.long(),), values).reshape(tuple(shape))
