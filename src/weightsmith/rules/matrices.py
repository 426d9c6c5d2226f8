"""Which weights the rules on values look at, and what they share about names, magnitudes and rows."""

import re
from collections.abc import Collection

import numpy as np

from weightsmith.analysis.rows import RowStatistics
from weightsmith.errors import InputError, SourceError
from weightsmith.kernels.layout import values
from weightsmith.rules.rule import NotCheckedError, Rule, Subject
from weightsmith.sketch import Sketch
from weightsmith.sources import Weight
from weightsmith.weight import MATRIX_ROLES, Role

INTEGERS = "whole numbers, whose scale is kept elsewhere"


def is_float(weight: Weight) -> bool:
    """Whether its values are floating-point numbers of any width."""
    return weight.dtype.startswith(("float", "bfloat"))


def float_weights(
    rule: Rule,
    subject: Subject,
    *,
    roles: Collection[Role] = MATRIX_ROLES,
    least_size: int = 1,
    least_axes: int = 2,
) -> list[Weight]:
    """The floating-point weights that a rule is about; the others of those roles are listed as skipped.

    Raises:
        NotCheckedError: there is none.
    """
    found = []
    for weight in subject.each(roles=roles, least_size=least_size, least_axes=least_axes):
        if is_float(weight):
            found.append(weight)
        else:
            subject.skip(rule, weight.name, INTEGERS)
    if not found:
        kinds = ", ".join(sorted(roles))
        size = f" with at least {least_size} values" if least_size > 1 else ""
        raise NotCheckedError(f"there are no floating-point weights of the roles {kinds}{size}")
    return found


def rows_of(rule: Rule, subject: Subject, weight: Weight) -> RowStatistics | None:
    """Statistics of its rows and columns; None, and listed as skipped, where they cannot be kept."""
    try:
        return subject.rows(weight)
    except SourceError:
        raise
    except InputError as error:
        subject.skip(rule, weight.name, str(error))
        return None


def is_constant(sketch: Sketch) -> bool:
    """Whether all values are one and the same number, of which other rules need say no more."""
    return not sketch.non_finite and sketch.minimum == sketch.maximum


def largest(sketch: Sketch) -> float:
    """Largest finite magnitude; 0 where nothing is finite."""
    return max(abs(sketch.minimum), abs(sketch.maximum)) if sketch.finite else 0.0


def magnitude_quantile(sketch: Sketch, share: float) -> float:
    """The magnitude that `share` of the nonzero finite values do not exceed, within a bin's width; 0 for none."""
    numbers = np.abs(values(sketch.layout, sketch.keys))
    order = np.argsort(numbers, kind="stable")
    numbers, counts = numbers[order], sketch.counts[order]
    if sketch.zeros:  # zero shares its bin with the smallest subnormals
        counts = counts - np.where(numbers == 0, np.minimum(counts, sketch.zeros), 0)
    total = np.cumsum(counts)
    if not total.size or not total[-1]:
        return 0.0
    found = float(numbers[np.searchsorted(total, share * total[-1])])
    # Unless exact, a bin stands for the 128th part above its number, and that of zero for all below 2**-133.
    return found if sketch.exact else min(max(found * (1 + 2.0**-7), 2.0**-133), largest(sketch))


def template(name: str) -> str:
    """The name with every number in it replaced, equal for the same weight of repeated layers."""
    return re.sub(r"(?<![a-zA-Z])\d+|\d+(?=[._]|$)", "#", name)


def listed(noun: str, indices: "np.ndarray[tuple[int], np.dtype[np.int64]]", most: int = 5) -> str:
    """What some numbers count and the first few of them, for a message: `row 3`, `rows 3, 17, 40, ...`."""
    numbers = ", ".join(str(int(index)) for index in indices[:most]) + (", ..." if len(indices) > most else "")
    return f"{noun}{'s' * (len(indices) != 1)} {numbers}"


def are(count: int) -> str:
    """The verb that agrees with a number of things."""
    return "is" if count == 1 else "are"
