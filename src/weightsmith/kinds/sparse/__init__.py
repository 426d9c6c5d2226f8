"""Mostly exact zeros."""

from weightsmith.kinds.sparse.apply import sparse
from weightsmith.kinds.sparse.mask import Mask
from weightsmith.kinds.sparse.schedule import Schedule

__all__ = ["Mask", "Schedule", "sparse"]
