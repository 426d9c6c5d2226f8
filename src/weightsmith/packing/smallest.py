"""The smallest way to keep a weight, of all that lose nothing."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from weightsmith.errors import InputError
from weightsmith.names import choose
from weightsmith.packing.content import as_matrix, bit_scale, is_float, shortened, sign_scale, three_scale
from weightsmith.packing.encode import encode, gaps_between, lossless_type, rounded
from weightsmith.packing.encoded import (
    FLOATS,
    FORMATS,
    MOST_COLUMNS,
    SKIP,
    VALUES,
    Alphabet,
    Array,
    Encoded,
    Floats,
    Format,
    Values,
    matrix_shape,
)
from weightsmith.packing.sizes import Candidate, Content, candidate


@dataclass(frozen=True, eq=False)
class Smallest:
    """What was chosen, and among what.

    Attributes:
        encoded: the weight in the smallest format.
        candidates: all formats that hold it, the smallest first.
    """

    encoded: Encoded
    candidates: tuple[Candidate, ...]


def smallest(
    weight: Array, *, name: str = "weight", values: Floats | None = None, formats: Collection[Format] = FORMATS
) -> Smallest:
    """Pack a weight in the smallest format that holds it, its lines in the file's header counted.

    Two values (-s and s, or 0 and s, with one s for all or for each row) make it binary, three (-s, 0, s) ternary or
    signs at a sparse format's places, zeros sparse. Bitmasks and 16-bit columns break even where one weight in sixteen
    is not zero.

    Args:
        weight: floats of any shape and size. What float32 does not hold stays dense, in its own type.
        name: of the weight; long names weigh where weights are tiny.
        values: round the values of sparse and dense weights to `float32`, `float16` or `bfloat16`; by default nothing
            is rounded.
        formats: those to choose from.

    Raises:
        InputError: no floats; an unknown name; values that are too large for the type; none of the formats fits.
    """
    for each in formats:
        choose(each, FORMATS, "format")
    if values is not None:
        choose(values, FLOATS, "type of values")
        rounded(weight, values)
    if not is_float(weight.dtype):
        raise InputError(f"only floats can be packed, and these are {weight.dtype.name}: leave them as they are")
    found = [each for each in _candidates(weight, name, values) if each.format in formats]
    if not found:
        raise InputError(f"'{name}' fits into none of {', '.join(formats)}: allow dense")
    found.sort(key=lambda each: each.total)
    best = found[0]
    alphabet: Alphabet = "bits" if best.values == "bits" else "signs"
    kept = next((each for each in VALUES if each == best.values), None)  # another type is the weight's own
    encoded = encode(weight, best.format, values=kept, alphabet=alphabet)
    return Smallest(encoded, tuple(found))


def _candidates(weight: Array, name: str, values: Floats | None) -> list[Candidate]:
    content = Content(tuple(weight.shape), 0, 0)
    try:
        matrix = as_matrix(weight)
    except InputError:  # float64 beyond float32
        return [candidate(name, content, "dense", values or weight.dtype.name, 0)]
    kind = values or (lossless_type(matrix) if weight.dtype.itemsize > 2 else weight.dtype.name)
    found = [candidate(name, content, "dense", kind, 0)]
    counts = np.count_nonzero(matrix, axis=1)
    nonzero = int(counts.sum(dtype=np.int64))
    content = Content(content.shape, nonzero, int(counts.max(initial=0)), _gap_bytes(matrix, nonzero))
    for alphabet, scale in (("signs", sign_scale(matrix)), ("bits", bit_scale(matrix))):
        if scale is not None:
            free = np.full(len(matrix), not matrix.shape[1]) if alphabet == "signs" else scale == 0
            found.append(candidate(name, content, "binary", alphabet, _length(scale, free)))
    three = three_scale(matrix)
    scales = 0 if three is None else _length(three, three == 0)
    if three is not None:
        found.append(candidate(name, content, "ternary", "signs", scales))
    if content.nonzero < weight.size or not weight.size:  # else they would hold it, and only take longer
        level = bool(np.all(counts == content.fan_in)) and content.fan_in > 0
        found += _sparse(name, content, values or lossless_type(matrix[matrix != 0]), 0, may_fan=True)
        found += _sparse(name, content, "signs", scales, may_fan=level) if three is not None else []
    return found


def _sparse(name: str, content: Content, values: Values, scales: int, *, may_fan: bool) -> list[Candidate]:
    _, columns = matrix_shape(content.shape)
    formats: list[Format] = ["bitmask"] if content.gaps is None else ["bitmask", "gaps"]
    if columns <= MOST_COLUMNS:
        formats += ["csr", "fan_in"] if columns and may_fan else ["csr"]
    return [candidate(name, content, each, values, scales) for each in formats]


def _gap_bytes(matrix: Array, nonzero: int) -> int | None:
    """Bytes of the gaps, at least one a value; None where a bit for each place takes less than that."""
    if nonzero * 8 > matrix.size:
        return None
    return nonzero + int((gaps_between(matrix) // SKIP).sum())


def _length(scale: Array, free: Array) -> int:
    found = shortened(scale, free).get("scale")
    return 0 if found is None else len(found)
