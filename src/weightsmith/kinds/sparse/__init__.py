"""Mostly exact zeros."""

from weightsmith.kinds.sparse.apply import settings_of, sparse
from weightsmith.kinds.sparse.mask import Mask, mask_of
from weightsmith.kinds.sparse.method import Sparsifier
from weightsmith.kinds.sparse.methods import METHODS, Method
from weightsmith.kinds.sparse.schedule import Schedule

__all__ = ["METHODS", "Mask", "Method", "Schedule", "Sparsifier", "mask_of", "settings_of", "sparse"]
