"""Layers without the outputs that make no difference."""

from weightsmith.kinds.structured.shapes import resize, shapes_of
from weightsmith.kinds.structured.shrink import Cut, Shrunk, shrink

__all__ = ["Cut", "Shrunk", "resize", "shapes_of", "shrink"]
