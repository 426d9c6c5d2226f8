"""What each unit of a layer uses: its inputs by name, sign and strength."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import InputError


@dataclass(frozen=True)
class Use:
    """One input that a unit uses.

    Attributes:
        feature: its name.
        index: its place among the inputs.
        weight: what it is multiplied by; never 0.
    """

    feature: str
    index: int
    weight: float

    def __str__(self) -> str:
        return f"{'-' if self.weight < 0 else '+'}{self.feature}"


@dataclass(frozen=True)
class Unit:
    """What one unit uses.

    Attributes:
        index: the row of the weight.
        uses: its inputs that are not multiplied by 0, strongest first, equal ones in the order of the inputs.
        unused: how many inputs it leaves out.
        scale: the magnitude that all its weights share, or None where they differ.
    """

    index: int
    uses: tuple[Use, ...]
    unused: int
    scale: float | None

    def __str__(self) -> str:
        listed = ", ".join(str(use) for use in self.uses) or "nothing"
        return f"unit {self.index}: {listed}" + (f"; not {self.unused} others" if self.unused else "")


def units_used(weight: NDArray[Any], feature_names: Sequence[str] | None = None) -> tuple[Unit, ...]:
    """What each unit of a binary or sparse layer uses.

    Args:
        weight: floats `(units, inputs)`; further axes (of a convolution) are inputs too.
        feature_names: of the inputs; by default `input 0`, `input 1`, ...

    Raises:
        InputError: not a matrix, values that are not finite, or another number of names than inputs.

    Example:
        >>> import numpy as np
        >>> print(units_used(np.array([[1.0, 0.0, -2.0]]), ["age", "height", "pulse"])[0])
        unit 0: -pulse, +age; not 1 others
    """
    matrix = finite_matrix(weight)
    names = feature_names_of(matrix.shape[1], feature_names)
    return tuple(_unit(index, row, names) for index, row in enumerate(matrix))


def _unit(index: int, row: NDArray[np.float64], names: Sequence[str]) -> Unit:
    used = np.flatnonzero(row)
    order = used[np.argsort(-np.abs(row[used]), kind="stable")]
    uses = tuple(Use(names[at], at, float(row[at])) for at in order.tolist())
    return Unit(index, uses, len(row) - len(used), shared_magnitude(row))


def shared_magnitude(row: NDArray[np.float64]) -> float | None:
    """The magnitude of all values of a row that are not 0, or None where they differ or there is none."""
    magnitudes = np.unique(np.abs(row[row != 0]))
    return float(magnitudes[0]) if len(magnitudes) == 1 else None


def finite_matrix(weight: NDArray[Any]) -> NDArray[np.float64]:
    """A weight as float64 `(units, inputs)`.

    Raises:
        InputError: fewer than two axes, or values that are not finite.
    """
    array = np.asarray(weight)
    if array.ndim < 2:
        raise InputError(f"a layer's weight has at least two axes, units first, and this has the shape {array.shape}")
    matrix = array.reshape(len(array), int(np.prod(array.shape[1:]))).astype(np.float64)
    if not np.isfinite(matrix).all():
        raise InputError("the weight holds NaN or infinite values: there is no telling what its units use")
    return matrix


def feature_names_of(count: int, given: Sequence[str] | None, what: str = "input") -> Sequence[str]:
    """The names given, or `input 0`, `input 1`, ...

    Raises:
        InputError: another number of names than needed.
    """
    if given is None:
        return [f"{what} {index}" for index in range(count)]
    if len(given) != count:
        raise InputError(f"{len(given)} names were given for {count} {what}s")
    return [str(name) for name in given]
