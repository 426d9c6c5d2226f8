"""`TernaryLinear`: two bits a weight."""

from typing import ClassVar

from weightsmith.kinds.packed.linear import PackedLinear
from weightsmith.packing import Format


class TernaryLinear(PackedLinear):
    """A linear layer whose weights are -1, 0 and +1 times a scale for all or for each output."""

    formats: ClassVar[frozenset[Format]] = frozenset({"ternary"})
