"""`SparseConv2d`: only what is not zero."""

from typing import ClassVar

from weightsmith.kinds.packed.convolution import PackedConv2d
from weightsmith.packing import SPARSE, Format


class SparseConv2d(PackedConv2d):
    """A convolution of mostly zeros; what is not zero is any float, or one magnitude of either sign."""

    formats: ClassVar[frozenset[Format]] = SPARSE
