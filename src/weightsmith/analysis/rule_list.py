"""Linear models as rules to read: which features speak for a class, and how many of them it takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from weightsmith.analysis.units import Unit, feature_names_of, units_used
from weightsmith.errors import InputError


@dataclass(frozen=True)
class ClassRule:
    """How one output of a linear model comes about.

    Attributes:
        of: the class, or the name of what is predicted.
        decides: whether it alone decides between two classes: this one where its score is above 0.
        unit: the features it uses.
        bias: what the score starts from.
        text: all of that in words.
    """

    of: str
    decides: bool
    unit: Unit
    bias: float
    text: str

    def __str__(self) -> str:
        return self.text


def rules_of(
    weight: NDArray[Any],
    bias: ArrayLike | None = None,
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    standardized: bool = False,
    most: int = 10,
) -> tuple[ClassRule, ...]:
    """A linear model as one readable rule for each of its outputs.

    Weights of one magnitude s become counts: where all are s or 0, a score of one output is above 0 when the sum of the
    features named is at least a number, which for features of 0 and 1 is how many of them hold.

    Args:
        weight: floats `(outputs, features)`.
        bias: floats `(outputs,)`, or None for 0.
        features: names of the inputs.
        classes: names of the outputs; of a single output two names, the second being the class it speaks for.
        standardized: whether the inputs were divided by their spread, so that weights compare; it is said in the text.
        most: features named in each text, the strongest; `unit` has them all.

    Raises:
        InputError: shapes and names that do not fit, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> print(rules_of(np.array([[1.0, 1.0, 0.0]]), [-1.5], ["fever", "cough", "age"], ["well", "ill"])[0])
        ill where the sum of fever, cough is at least 1.5; not used: 1 other
    """
    units = units_used(weight, features)
    biases = np.zeros(len(units)) if bias is None else np.asarray(bias, np.float64).reshape(-1)
    if len(biases) != len(units) or not np.isfinite(biases).all():
        raise InputError(f"a bias is {len(units)} finite numbers here, one for each output, not {len(biases)}")
    decides = len(units) == 1 and (classes is None or len(classes) == 2)
    names = list(classes)[1:] if decides and classes is not None else classes
    found = feature_names_of(len(units), names, "output")
    return tuple(
        ClassRule(name, decides, unit, float(start), _text(name, decides, unit, float(start), standardized, most))
        for name, unit, start in zip(found, units, biases, strict=True)
    )


def _text(name: str, decides: bool, unit: Unit, bias: float, standardized: bool, most: int) -> str:
    if not unit.uses:
        text = f"{name}: always {bias:.3g}" + (", whatever the input" if unit.unused else "")
    elif unit.scale is not None and decides and min(use.weight for use in unit.uses) > 0:
        text = f"{name} where the sum of {_named(unit, most, standardized)} is at least {-bias / unit.scale:.3g}"
    elif unit.scale is not None and len(unit.uses) > 1:
        text = f"{_head(name, decides)} {_sum(bias, f'+ {unit.scale:.3g} x ({_signed(unit, most, standardized)})')}"
    else:
        text = f"{_head(name, decides)} {_sum(bias, _weighted(unit, most, standardized))}"
    others = f"{unit.unused} other{'s' * (unit.unused != 1)}"
    return f"{text}; not used: {others}" if unit.unused else text


def _head(name: str, decides: bool) -> str:
    return f"{name} where 0 <" if decides else f"score of {name} ="


def _feature(name: str, standardized: bool) -> str:
    return f"{name} (standardized)" if standardized else name


def _rest(unit: Unit, most: int) -> str:
    left = len(unit.uses) - most
    return f" and {left} more" if left > 0 else ""


def _named(unit: Unit, most: int, standardized: bool) -> str:
    return ", ".join(_feature(use.feature, standardized) for use in unit.uses[:most]) + _rest(unit, most)


def _signed(unit: Unit, most: int, standardized: bool) -> str:
    parts = [f"{'-' if use.weight < 0 else '+'} {_feature(use.feature, standardized)}" for use in unit.uses[:most]]
    return " ".join(parts).removeprefix("+ ") + _rest(unit, most)


def _weighted(unit: Unit, most: int, standardized: bool) -> str:
    parts = [
        f"{'-' if use.weight < 0 else '+'} {abs(use.weight):.3g} x {_feature(use.feature, standardized)}"
        for use in unit.uses[:most]
    ]
    return " ".join(parts) + _rest(unit, most)


def _sum(bias: float, terms: str) -> str:
    """A bias and what is added to it or taken away."""
    return f"{bias:.3g} {terms}" if bias else terms.removeprefix("+ ")
