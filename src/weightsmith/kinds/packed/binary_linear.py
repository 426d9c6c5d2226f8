"""`BinaryLinear`: one bit a weight."""

from typing import ClassVar

from weightsmith.kinds.packed.linear import PackedLinear
from weightsmith.packing import Format


class BinaryLinear(PackedLinear):
    """A linear layer whose weights are -1 and +1, or 0 and 1, times a scale for all or for each output."""

    formats: ClassVar[frozenset[Format]] = frozenset({"binary"})
