"""Options of optimizers and schedules: their defaults, and what values are allowed."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from weightsmith.errors import InputError
from weightsmith.names import suggestion


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        default: its value where none is given.
        allowed: the values allowed, in words.
        accepts: whether a value is allowed.
    """

    default: Any
    allowed: str
    accepts: Callable[[Any], bool]


def is_number(value: object) -> bool:
    """Whether a value is a finite real number (True and False are none)."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def positive(default: float) -> Option:
    """A number above 0."""
    return Option(default, "a finite number above 0", lambda value: is_number(value) and value > 0)


def not_negative(default: float) -> Option:
    """A number of at least 0."""
    return Option(default, "a finite number of at least 0", lambda value: is_number(value) and value >= 0)


def share(default: float) -> Option:
    """A number from 0 up to, and without, 1."""
    return Option(default, "a number in [0, 1)", lambda value: is_number(value) and 0 <= value < 1)


def flag(default: bool) -> Option:
    """True or false."""
    return Option(default, "True or False", lambda value: isinstance(value, bool))


def whole(default: int | None, low: int, high: float = math.inf) -> Option:
    """A whole number from low to high."""
    allowed = f"a whole number of at least {low}" if high == math.inf else f"a whole number from {low} to {high}"
    return Option(
        default, allowed, lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    )


def one_of(default: str, *names: str) -> Option:
    """One of several names."""
    return Option(default, "one of " + ", ".join(names), lambda value: value in names)


def betas(default: tuple[float, float]) -> Option:
    """The two decay rates of Adam."""
    unit = share(0.0)
    return Option(
        default,
        "two numbers in [0, 1)",
        lambda value: isinstance(value, tuple | list) and len(value) == 2 and all(unit.accepts(each) for each in value),
    )


def read_options(owner: str, options: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every option: as given, else its default.

    Args:
        owner: whose options they are, for messages: `optimizer 'adam'`.
        options: the options there are.
        given: the values given, by name.

    Raises:
        InputError: naming the option, the value given and the values allowed.
    """
    for name, value in given.items():
        if name not in options:
            known = f"its options are {', '.join(options)}" if options else "it has none"
            raise InputError(f"{owner} has no option '{name}': {known}{suggestion(name, options)}")
        if not options[name].accepts(value):
            raise InputError(f"{name} of {owner} must be {options[name].allowed}, got {value!r}")
    return {name: given.get(name, option.default) for name, option in options.items()}
