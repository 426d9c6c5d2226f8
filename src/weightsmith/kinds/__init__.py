"""What values weights may take while they train: any, two, or mostly zeros."""

from weightsmith.kinds.binary import Binarization, Binary, BinaryActivation, binary
from weightsmith.kinds.catalog import KINDS, Kind, apply
from weightsmith.kinds.continuous import Projection, continuous
from weightsmith.kinds.controller import Assignment, KindController
from weightsmith.kinds.packed import load_packed, pack, save_packed, unpack
from weightsmith.kinds.sparse import METHODS, Mask, Method, Schedule, Sparsifier, mask_of, sparse
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
    "Sparsifier",
    "Ternarization",
    "Ternary",
    "apply",
    "binary",
    "continuous",
    "load_packed",
    "mask_of",
    "pack",
    "save_packed",
    "sparse",
    "ternary",
    "unpack",
]
