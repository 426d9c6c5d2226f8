"""Statistics of all weights of a source, within a time limit: the profile of a model over its depth."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.spectrum import spectrum
from weightsmith.errors import InputError, SourceError

if TYPE_CHECKING:
    from weightsmith.sources import Source, Weight


@dataclass(frozen=True)
class Criterion:
    """One statistic of a weight.

    Attributes:
        noun: what a sentence calls it.
        of: its value, from a sketch or a spectrum.
        spectral: whether it needs the spectrum, which costs more than a pass over the values.
        offset: added before values are compared by factors, where they may be zero or negative.
    """

    noun: str
    of: Callable[[Any], float | None]
    spectral: bool = False
    offset: float = 0.0


CRITERIA: dict[str, Criterion] = {
    "rms": Criterion("rms", lambda sketch: sketch.rms),
    "norm": Criterion("norm", lambda sketch: sketch.norm),
    # Least of all distributions is -2, so that 3 makes it the plain fourth moment, which is at least 1.
    "kurtosis": Criterion("kurtosis", lambda sketch: sketch.kurtosis, offset=3.0),
    "sparsity": Criterion("share of zeros", lambda sketch: sketch.sparsity, offset=0.01),
    "stable_rank": Criterion("stable rank", lambda found: found.stable_rank, spectral=True),
    "alpha": Criterion("alpha", lambda found: found.alpha, spectral=True),
}
"""Name -> statistic. Kurtosis is in excess of a Gaussian's; alpha and stable rank as in `Spectrum`."""

DEFAULTS = ("rms", "kurtosis", "stable_rank", "alpha")


@dataclass(frozen=True)
class Statistics:
    """float64[weights] for each statistic, and sentences about what is missing."""

    values: dict[str, NDArray[np.float64]]
    notes: tuple[str, ...]


def profile(
    source: "Source",
    names: Sequence[str],
    statistics: Sequence[str],
    time_limit: float | None,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Measure weights one after the other; evenly over the depth, so that a time limit leaves no end unseen.

    Args:
        source: a file, a model, or a run's snapshot.
        names: of the weights, in the order of their depth.
        statistics: names in `CRITERIA`.
        time_limit: seconds for all spectra.
        progress: called with the weights measured and their total.
    """
    values = {name: np.full(len(names), nan) for name in statistics}
    spent, late, unread, rough = 0.0, 0, 0, 0
    spectral = [name for name in statistics if CRITERIA[name].spectral]
    plain = [name for name in statistics if not CRITERIA[name].spectral]
    for done, i in enumerate(_spread_out(len(names))):
        weight = source[names[i]]
        if progress is not None:
            progress(done, len(names))
        try:
            if plain:
                _take(values, plain, i, weight.sketch())
        except SourceError:
            raise
        except InputError:  # packed values that no array can hold
            unread += 1
            continue
        if not spectral:
            continue
        left = None if time_limit is None else time_limit - spent
        if left is not None and left <= 0:
            late += 1
            continue
        start = time.monotonic()
        rough += _take_spectrum(values, spectral, i, weight, source.file_format, left)
        spent += time.monotonic() - start
    return Statistics(values, _notes(late, unread, rough))


def _take(values: dict[str, NDArray[np.float64]], statistics: Sequence[str], i: int, found: Any) -> None:
    for name in statistics:
        value = CRITERIA[name].of(found)
        values[name][i] = nan if value is None else value


def _take_spectrum(
    values: dict[str, NDArray[np.float64]],
    statistics: Sequence[str],
    i: int,
    weight: "Weight",
    file_format: str,
    left: float | None,
) -> bool:
    """Fill in what the spectrum tells; returns whether it was estimated."""
    try:
        # A tenth of what is left for one: the first large layer must not leave nothing for the others.
        limit = None if left is None else left / 10
        found = spectrum(weight, time_limit=limit, file_format=file_format)
    except SourceError:
        raise
    except InputError:  # a vector, or NaN and Inf: nothing to show, and the pass over the values has said so
        return False
    _take(values, statistics, i, found)
    return not found.exact


def _spread_out(count: int) -> list[int]:
    """All places, each next one far from those before (van der Corput, 1935)."""
    bits = max(1, (count - 1).bit_length())
    return [place for i in range(1 << bits) if (place := int(f"{i:0{bits}b}"[::-1], 2)) < count]


def _notes(late: int, unread: int, rough: int) -> tuple[str, ...]:
    sentences = (
        (late, "Time ran out before the spectra of {}: they are left out."),
        (rough, "Spectra estimated by Lanczos quadrature instead of computed: those of {}."),
        (unread, "Not read, as their values are packed: {}."),
    )
    return tuple(text.format(f"{count:,} weight{'s' * (count != 1)}") for count, text in sentences if count)
