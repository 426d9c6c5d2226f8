"""Weights that pay: packed layers, and models of them."""

from weightsmith.kinds.packed.binary_conv2d import BinaryConv2d
from weightsmith.kinds.packed.binary_linear import BinaryLinear
from weightsmith.kinds.packed.choice import Choice, Choices
from weightsmith.kinds.packed.files import load_packed, save_packed
from weightsmith.kinds.packed.onnx_export import export_onnx
from weightsmith.kinds.packed.pack import pack
from weightsmith.kinds.packed.sparse_conv2d import SparseConv2d
from weightsmith.kinds.packed.sparse_linear import SparseLinear
from weightsmith.kinds.packed.ternary_linear import TernaryLinear
from weightsmith.kinds.packed.unpack import unpack
from weightsmith.kinds.packed.xnor_conv2d import XnorConv2d
from weightsmith.kinds.packed.xnor_linear import XnorLinear

__all__ = [
    "BinaryConv2d",
    "BinaryLinear",
    "Choice",
    "Choices",
    "SparseConv2d",
    "SparseLinear",
    "TernaryLinear",
    "XnorConv2d",
    "XnorLinear",
    "export_onnx",
    "load_packed",
    "pack",
    "save_packed",
    "unpack",
]
