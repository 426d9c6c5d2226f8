"""What values weights may take while they train: any, two, or mostly zeros."""

from weightsmith.kinds.apply import KINDS, Kind, apply, binary, continuous, sparse
from weightsmith.kinds.binary import Binarization, Binary
from weightsmith.kinds.continuous import Projection
from weightsmith.kinds.controller import Assignment, KindController
from weightsmith.kinds.sparse import Mask, Schedule

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
