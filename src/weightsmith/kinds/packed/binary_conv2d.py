"""`BinaryConv2d`: one bit a weight."""

from typing import ClassVar

from weightsmith.kinds.packed.convolution import PackedConv2d
from weightsmith.packing import Format


class BinaryConv2d(PackedConv2d):
    """A convolution whose weights are -1 and +1, or 0 and 1, times a scale for all or for each output channel."""

    formats: ClassVar[frozenset[Format]] = frozenset({"binary"})
