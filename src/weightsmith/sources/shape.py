"""Shapes that headers claim, checked before anyone multiplies or allocates by them."""

from collections.abc import Sequence

MOST_AXES = 32
"""Axes that NumPy 1 allows an array; NumPy 2 allows twice as many, and no weight has as many."""

MOST_ELEMENTS = 1 << 56
"""NumPy refuses a shape whose lengths other than zero multiply to more bytes than 63 bits count, even an empty one."""


def is_possible(shape: Sequence[int]) -> bool:
    """Whether an array can have this shape of whole numbers."""
    if len(shape) > MOST_AXES or any(length < 0 for length in shape):
        return False
    product = 1
    for length in shape:
        product *= length or 1
        if product >= MOST_ELEMENTS:
            return False
    return True
