"""The parts as they are in a file: on the meta device, and behind it until values are loaded."""

from collections.abc import Sequence

import torch
from torch import Tensor

from weightsmith.errors import InputError
from weightsmith.kinds.packed.forms.form import Form, Parts, array, tensor
from weightsmith.packing import Encoded, Layout

_NAMES = {
    "binary": ("bits", "scale"),
    "ternary": ("plus", "minus", "scale"),
    "bitmask": ("mask",),
    "csr": ("pointers", "columns"),
    "gaps": ("gaps",),
    "fan_in": ("columns",),
}


def part_names(layout: Layout, values: str) -> tuple[str, ...]:
    """The parts that such a weight has in a file, in order; the last, a scale, may be absent."""
    names = _NAMES[layout.format]
    if layout.format in ("binary", "ternary"):
        return names
    return (*names, "signs", "scale") if values == "signs" else (*names, "values")


class Stored(Form):
    """What `Encoded.tensors` holds, in the order of `part_names`."""

    plain = True
    name: str = "stored"

    def reside(self, encoded: Encoded) -> list[Tensor]:
        """As `Form.reside`."""
        names = part_names(encoded.layout, encoded.values)
        return [tensor(encoded.tensors[name]) for name in names if name in encoded.tensors]

    def encode(self, parts: Parts, layout: Layout, values: str) -> Encoded:
        """As `Form.encode`."""
        names = part_names(layout, values)
        return Encoded(layout.format, layout.shape, dict(zip(names, map(array, parts), strict=False)), layout.alphabet)

    def dense(self, parts: Parts, shape: Sequence[int]) -> Tensor:
        """As `Form.dense`."""
        if not parts[0].is_meta:
            raise InputError("a packed weight that comes from the meta device has no values yet: load its state_dict")
        return torch.empty(tuple(shape), device=parts[0].device)
