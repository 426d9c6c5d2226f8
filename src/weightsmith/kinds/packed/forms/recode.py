"""From dense values back to the parts of a file, in the format that they came from."""

from typing import cast

from torch import Tensor

from weightsmith.packing import Encoded, Layout, Values, encode


def recode(dense: Tensor, layout: Layout, values: str) -> Encoded:
    """The parts of a sparse weight, in its own format and its own type of values."""
    return encode(dense.detach().numpy(), layout.format, values=cast(Values, values))
