"""`SparseLinear`: only what is not zero."""

from typing import ClassVar

from weightsmith.kinds.packed.linear import PackedLinear
from weightsmith.packing import SPARSE, Format


class SparseLinear(PackedLinear):
    """A linear layer of mostly zeros; what is not zero is any float, or one magnitude of either sign."""

    formats: ClassVar[frozenset[Format]] = SPARSE
