"""Weights that pay: packed layers, and models of them."""

from weightsmith.kinds.packed.binary_conv2d import BinaryConv2d
from weightsmith.kinds.packed.binary_linear import BinaryLinear
from weightsmith.kinds.packed.choice import Choice, Choices
from weightsmith.kinds.packed.files import load_packed, save_packed
from weightsmith.kinds.packed.pack import pack
from weightsmith.kinds.packed.sparse_conv2d import SparseConv2d
from weightsmith.kinds.packed.sparse_linear import SparseLinear
from weightsmith.kinds.packed.ternary_linear import TernaryLinear
from weightsmith.kinds.packed.unpack import unpack

__all__ = [
    "BinaryConv2d",
    "BinaryLinear",
    "Choice",
    "Choices",
    "SparseConv2d",
    "SparseLinear",
    "TernaryLinear",
    "load_packed",
    "pack",
    "save_packed",
    "unpack",
]
