"""The eigenvalues of a weight against those of noise, with the power law of their tail."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis import Spectrum
from weightsmith.analysis import spectrum as measure
from weightsmith.errors import InputError, SourceError
from weightsmith.plots import style
from weightsmith.plots.style import Theme, count_of, number, percent, shown
from weightsmith.plots.subject import NothingToDrawError, shape_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from weightsmith.sources import Source

SECONDS = 60.0
"""Time for one spectrum; where it is not enough the picture shows an estimate and says so."""

USUAL = (2.0, 6.0)
"""Alpha of most layers of well-trained networks (Martin, Peng and Mahoney, 2021)."""

POOR = 0.1
"""Kolmogorov-Smirnov distance from which the tail is hardly a power law."""

DECADES = 7.0
"""Powers of ten below the largest eigenvalue that the axis covers at most."""


@dataclass(frozen=True)
class Eigenvalues:
    """What the picture shows.

    Attributes:
        spectrum: all that was measured.
        edges: float64[bins + 1], equally wide in the logarithm of the eigenvalue.
        counts: float64[bins].
        below: eigenvalues smaller than the first edge, zeros among them.
        noise: float64[bins], how many of them pure noise of the bulk's variance would have in each bin.
    """

    title: str
    subtitle: str
    spectrum: Spectrum
    edges: NDArray[np.float64]
    counts: NDArray[np.float64]
    below: int
    noise: NDArray[np.float64]


def summarize(source: "Source", name: str, time_limit: float | None = SECONDS, seed: int = 0) -> Eigenvalues:
    """Measure the spectrum of one weight of a source.

    Args:
        source: holds the weight.
        name: of the weight.
        time_limit: seconds, beyond which the spectrum is estimated; see `weightsmith.analysis.spectrum`.
        seed: of the estimate.

    Raises:
        NothingToDrawError: it is no matrix, holds NaN or Inf, or nothing but zeros.
    """
    weight = source[name]
    try:
        found = measure(weight, time_limit=time_limit, seed=seed, file_format=source.file_format)
    except SourceError:
        raise
    except InputError as error:
        raise NothingToDrawError(str(error)) from error
    return of(found, name, shape_line(source.label, name, weight.shape))


def of(spectrum: Spectrum, name: str, subtitle: str) -> Eigenvalues:
    """Bin the eigenvalues of a spectrum and put its finding into words."""
    eigenvalues = spectrum.eigenvalues
    if not eigenvalues[0] > 0:
        raise NothingToDrawError(f"every value of {shown(name)} is zero: it has no spectrum to show")
    edges = _edges(eigenvalues, spectrum.rank)
    counts = np.histogram(eigenvalues, edges)[0].astype(np.float64)
    middle = np.sqrt(edges[1:] * edges[:-1])
    # All that is no spike is what the noise has to account for.
    noise = (spectrum.bulk.values - spectrum.bulk.spikes) * spectrum.bulk.density(middle) * np.diff(edges)
    below = int(np.count_nonzero(eigenvalues < edges[0]))
    ranks = (
        f"rank {spectrum.rank:,} of {len(eigenvalues):,}, stable rank {number(spectrum.stable_rank)}, "
        f"effective rank {number(spectrum.effective_rank)}"
    )
    line = f"{subtitle} \N{MIDDLE DOT} {ranks}"
    return Eigenvalues(_sentence(spectrum), line, spectrum, edges, counts, below, noise)


def _edges(eigenvalues: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    top = np.log10(eigenvalues[0])
    # What lies beyond the rank is rounding, and the last few stragglers would stretch the axis.
    last = int(0.97 * (rank - 1))
    bottom = max(np.log10(eigenvalues[last]), top - DECADES)
    space = 0.04 * (top - bottom) + 0.02
    bins = int(np.clip(2.5 * rank**0.5, 16, 70))
    return np.asarray(10.0 ** np.linspace(bottom - space, top + space, bins + 1))


def _sentence(spectrum: Spectrum) -> str:
    spikes, count = spectrum.bulk.spikes, len(spectrum.singular_values)
    if spectrum.rank < count // 2:
        first = f"Rank {spectrum.rank:,} of {count:,}: most directions are empty"
    elif spikes == 0:
        first = "No eigenvalue rises above what noise alone would have"
    else:
        verb = "rises" if spikes == 1 else "rise"
        first = f"{count_of(spikes, 'eigenvalue')} of {count:,} {verb} above the noise"
    fit = spectrum.power_law
    if fit is None:
        return first
    if fit.distance > POOR:
        return f"{first}; the tail is no clear power law (distance {number(fit.distance)})"
    alpha = f"alpha {number(fit.alpha)}"
    if fit.alpha > USUAL[1]:
        return f"{first}; the tail is as light as that of a layer that learned little ({alpha})"
    if fit.alpha < USUAL[0]:
        return f"{first}; the tail is very heavy ({alpha}): a few directions carry the layer"
    return f"{first}; the tail is a power law with {alpha}, as usual in trained layers"


def draw(found: Eigenvalues, theme: Theme) -> "Figure":
    """Draw what `summarize` found."""
    figure = style.new_figure(theme, 7.6, 4.9)
    axes = figure.subplots()
    style.dress(axes, theme, "eigenvalue of W\N{MODIFIER LETTER CAPITAL T}W", "number of eigenvalues", "y")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.stairs(
        found.counts, found.edges, fill=True, color=theme.training, alpha=0.75, linewidth=0, label="this weight"
    )
    middle = np.sqrt(found.edges[1:] * found.edges[:-1])
    _draw_noise(axes, found, middle, theme)
    _draw_tail(axes, found, theme)
    top = float(max(found.counts.max(), found.noise.max(initial=0.0)))
    axes.set_xlim(found.edges[0], found.edges[-1] * 1.15)
    axes.set_ylim(0.5, top * 2.2)
    _mark_spikes(axes, found, theme)
    style.plain_numbers(axes)
    style.legend(axes, theme)
    style.finish(figure, theme, found.title, found.subtitle, _notes(found))
    return figure


def _draw_noise(axes: "Axes", found: Eigenvalues, middle: NDArray[np.float64], theme: Theme) -> None:
    bulk = found.spectrum.bulk
    if not (bulk.variance > 0 and found.noise.any()):
        return
    dashes = (0, (4, 3))
    axes.plot(
        middle, np.maximum(found.noise, 1e-3), color=theme.muted, linewidth=1.3, linestyle=dashes, label="pure noise"
    )
    axes.axvline(
        bulk.limit, color=theme.muted, linewidth=0.9, linestyle=":", label=f"noise ends at {number(bulk.limit)}"
    )


def _draw_tail(axes: "Axes", found: Eigenvalues, theme: Theme) -> None:
    fit = found.spectrum.power_law
    if fit is None:
        return
    x = np.geomspace(fit.xmin, found.edges[-1], 50)
    # Eigenvalues in a bin of this relative width, from the density (alpha - 1) / xmin (x / xmin)^-alpha.
    width = float(np.log(found.edges[1] / found.edges[0]))
    y = fit.tail * (fit.alpha - 1) * (x / fit.xmin) ** (1 - fit.alpha) * width
    axes.plot(x, y, color=theme.validation, linewidth=1.8, label=f"power law, alpha {number(fit.alpha)}")


def _mark_spikes(axes: "Axes", found: Eigenvalues, theme: Theme) -> None:
    """The largest eigenvalues as marks at the foot, where single ones are too small to be seen as bars."""
    spikes = found.spectrum.eigenvalues[: found.spectrum.bulk.spikes]
    if not len(spikes):
        return
    transform = axes.get_xaxis_transform()
    axes.plot(spikes, np.full(len(spikes), 0.018), "|", color=theme.text, markersize=7, transform=transform)
    axes.plot([], [], "|", color=theme.text, markersize=8, label="above the noise")


def _notes(found: Eigenvalues) -> list[str]:
    one = found.spectrum
    notes = []
    if one.power_law is not None:
        fit = one.power_law
        notes.append(
            f"Power law fitted from {number(fit.xmin)} on ({fit.tail:,} eigenvalues), "
            f"Kolmogorov-Smirnov distance {number(fit.distance)}, alpha \N{PLUS-MINUS SIGN}{number(fit.sigma)}."
        )
    if one.matrices > 1:
        notes.append(
            f"The eigenvalues of {one.matrices} matrices of {one.rows:,} \N{MULTIPLICATION SIGN} {one.columns:,}, "
            "one for each position of the kernel or entry of the stack."
        )
    if found.below:
        notes.append(f"{percent(found.below / len(one.singular_values))} of the eigenvalues lie left of the axis.")
    if not one.exact:
        notes.append(f"Not exact: {one.error}.")
    return notes
