"""What values weights may take while they train: any, two, or mostly zeros."""

from weightsmith.kinds.binary import Binarization, Binary, binary
from weightsmith.kinds.catalog import KINDS, Kind, apply
from weightsmith.kinds.continuous import Projection, continuous
from weightsmith.kinds.controller import Assignment, KindController
from weightsmith.kinds.sparse import Mask, Schedule, sparse

__all__ = [
    "KINDS",
    "Assignment",
    "Binarization",
    "Binary",
    "Kind",
    "KindController",
    "Mask",
    "Projection",
    "Schedule",
    "apply",
    "binary",
    "continuous",
    "sparse",
]
