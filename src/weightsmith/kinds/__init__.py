"""What values weights may take while they train: any, two, or mostly zeros."""

from weightsmith.kinds.bake import bake
from weightsmith.kinds.binary import Binarization, Binary, BinaryActivation, binary
from weightsmith.kinds.catalog import KINDS, Kind, apply
from weightsmith.kinds.continuous import Projection, continuous
from weightsmith.kinds.controller import Assignment, KindController
from weightsmith.kinds.packed import export_onnx, load_packed, pack, save_packed, unpack
from weightsmith.kinds.sensitivity import Sensitivity, sensitivity
from weightsmith.kinds.sparse import METHODS, Mask, Method, Schedule, Sparsifier, mask_of, sparse
from weightsmith.kinds.structured import Shrunk, resize, shrink
from weightsmith.kinds.ternary import Ternarization, Ternary, ternary

__all__ = [
    "KINDS",
    "METHODS",
    "Assignment",
    "Binarization",
    "Binary",
    "BinaryActivation",
    "Kind",
    "KindController",
    "Mask",
    "Method",
    "Projection",
    "Schedule",
    "Sensitivity",
    "Shrunk",
    "Sparsifier",
    "Ternarization",
    "Ternary",
    "apply",
    "bake",
    "binary",
    "continuous",
    "export_onnx",
    "load_packed",
    "mask_of",
    "pack",
    "resize",
    "save_packed",
    "sensitivity",
    "shrink",
    "sparse",
    "ternary",
    "unpack",
]
