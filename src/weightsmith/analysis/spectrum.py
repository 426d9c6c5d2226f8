"""The singular values of a weight and what they tell: ranks, noise bulk and spikes, power-law tail, norms."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.marchenko_pastur import Bulk, fit_bulk
from weightsmith.analysis.matrix import Held, each_matrix, name_of, row_blocks
from weightsmith.analysis.power_law import PowerLaw, fit_power_law
from weightsmith.analysis.singular_values import EIGENVALUES, PROBES, Tell, estimate, singular_values
from weightsmith.errors import InputError

EXACT = 8192
"""Smaller side of a matrix up to which all singular values may be computed: its Gram matrix takes 512 MiB."""

RATE = 1.5e10
"""Operations a second that the time of an exact computation is foretold with: two cores of 2020 or later."""

CUTOFF = 1e-5
"""Eigenvalues up to this (WeightWatcher 0.7.7), or this share of a largest one below 1, are no part of the fit."""


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of a matrix W of n x m values, or of the matrices that a convolution has at its kernel positions.

    Eigenvalues are those of the correlation matrix X = W^T W, the squared singular values, without a division by n.

    Attributes:
        rows, columns: of each matrix.
        matrices: how many matrices the singular values come from: 1, or the positions of a convolution's kernel.
        singular_values: float64[k], largest first, of all matrices together.
        rank: singular values above the largest one times max(n, m) times the rounding of float32, or of float64 where
            the values are that: what NumPy's `matrix_rank` counts.
        stable_rank: sum of the eigenvalues over the largest one.
        effective_rank: exp of the entropy of the singular values' shares (Roy and Vetterli, 2007).
        bulk: the noise that the eigenvalues within the rank could come from, and how many rise above it.
        power_law: fit to the eigenvalues' tail, or None where there are too few.
        log_norm: log10 of the squared Frobenius norm.
        log_spectral_norm: log10 of the largest eigenvalue.
        log_alpha_norm: log10 of the sum of the eigenvalues to the power alpha; None without alpha.
        alpha_weighted: alpha times log10 of the largest eigenvalue (Martin, Peng and Mahoney, 2021); None without.
        mp_soft_rank: edge of the bulk over the largest eigenvalue (Martin and Mahoney, 2018): 1 for noise, near 0
            for strong structure.
        exact: whether the singular values were computed; False where their distribution was estimated.
        error: how an estimate was made and how far it may be off, in words; empty where exact.
    """

    rows: int
    columns: int
    matrices: int
    singular_values: NDArray[np.float64]
    rank: int
    stable_rank: float
    effective_rank: float
    bulk: Bulk
    power_law: PowerLaw | None
    log_norm: float
    log_spectral_norm: float
    log_alpha_norm: float | None
    alpha_weighted: float | None
    mp_soft_rank: float
    exact: bool = True
    error: str = ""

    @property
    def alpha(self) -> float | None:
        """Exponent of the power law, or None: 2 to 6 is usual in trained layers (Martin and Mahoney, 2021)."""
        return self.power_law.alpha if self.power_law else None

    @property
    def eigenvalues(self) -> NDArray[np.float64]:
        """float64[k], largest first: the squared singular values."""
        with np.errstate(over="ignore"):
            return np.square(self.singular_values)


def spectrum(
    what: Held,
    *,
    limit: int = EXACT,
    time_limit: float | None = 120.0,
    seed: int = 0,
    file_format: str = "",
    progress: Callable[[float, float, str], None] | None = None,
) -> Spectrum:
    """The spectrum of a matrix, of a convolution or of a stack of matrices.

    A convolution is taken as one (filters x channels) matrix for each position of its kernel, and their eigenvalues
    are pooled, as WeightWatcher does; a stack of three dimensions that is no convolution, as a matrix for each entry
    of its first axis. Agrees with WeightWatcher 0.7.7 where its eigenvalues are not all below 1 (there, its absolute
    cutoff makes alpha depend on the unit).

    Args:
        what: real values of at least two dimensions, or a weight of a source. Arrays are taken as PyTorch has them.
        limit: with a smaller side beyond it, the distribution is estimated from random projections (stochastic
            Lanczos quadrature) instead: `exact` is then False, and `error` says how far alpha spreads.
        time_limit: seconds. Where an exact computation would take longer, by the number of its operations, the
            distribution is estimated too, and more crudely where they are not enough for that either.
        seed: of the estimate.
        file_format: of the source that the weight comes from; tells where TFLite keeps a convolution's inputs.
        progress: called with the matrices done, a part of the one at hand among them, their number, and what is being
            done. What it raises ends the computation, between two blocks of a product and not within a decomposition.

    Raises:
        InputError: fewer than two dimensions, no elements, or NaN or Inf among the values.
    """
    matrices = each_matrix(what, file_format)
    tells = [_tell(progress, place, len(matrices)) for place in range(len(matrices))]
    largest = _largest(matrices, name_of(what), tells[0])
    deadline = None if time_limit is None else time.monotonic() + time_limit
    if largest == 0 or (min(matrices[0].shape) <= limit and _seconds(matrices) <= (time_limit or np.inf)):
        found = [singular_values(matrix, largest or 1.0, tell) for matrix, tell in zip(matrices, tells, strict=True)]
        return _described(np.concatenate(found), largest, matrices, "")
    parts = [
        estimate(matrix, largest, seed=seed + i, deadline=deadline, tell=tells[i]) for i, matrix in enumerate(matrices)
    ]
    together = np.concatenate([values for values, _ in parts])
    alone = [np.concatenate([each[probe] for _, each in parts]) for probe in range(PROBES)]
    return _described(together, largest, matrices, _spread(alone, largest))


def _tell(progress: Callable[[float, float, str], None] | None, place: int, count: int) -> Tell:
    def tell(share: float, doing: str) -> None:
        if progress is not None:
            progress(place + share, count, doing)

    return tell


def _seconds(matrices: list[NDArray[Any]]) -> float:
    """About how long the Gram matrices and their eigenvalues take."""
    large, small = max(matrices[0].shape), min(matrices[0].shape)
    return float(len(matrices) * small**2 * (large + EIGENVALUES * small) / RATE)


def _largest(matrices: list[NDArray[Any]], name: str, tell: Tell) -> float:
    """The largest magnitude.

    Raises:
        InputError: NaN or Inf.
    """
    largest = 0.0
    for matrix in matrices:
        for _, block in row_blocks(matrix):
            tell(0.0, "Reading values")
            largest = max(largest, float(np.max(np.abs(block), initial=0.0)))  # a NaN is passed on
            if not np.isfinite(largest) or np.isnan(block).any():
                raise InputError(f"{name} holds NaN or Inf and so has no spectrum: replace them first")
    return largest


def _fit(values: NDArray[np.float64], scale: float) -> PowerLaw | None:
    """The power law of the eigenvalues of `values * scale`; None where they leave the range of float64."""
    with np.errstate(over="ignore"):
        eigenvalues = np.square(values * scale)
    if not len(values) or not np.isfinite(eigenvalues[0]):
        return None
    return fit_power_law(eigenvalues[eigenvalues > CUTOFF * min(1.0, float(eigenvalues[0]))])


def _spread(alone: list[NDArray[np.float64]], scale: float) -> str:
    alphas = [fit.alpha for fit in (_fit(np.sort(values)[::-1], scale) for values in alone) if fit]
    how = f"estimated by Lanczos quadrature from {PROBES} random starts"
    if len(alphas) < 2:
        return how
    return f"{how}; alpha varies by {np.std(alphas):.2g} between them"


def _described(values: NDArray[np.float64], scale: float, matrices: list[NDArray[Any]], error: str) -> Spectrum:
    values = np.sort(values)[::-1]
    rows, columns = matrices[0].shape
    top = float(values[0])
    precision = np.finfo(np.float64 if matrices[0].dtype == np.float64 else np.float32).eps
    rank = int(np.count_nonzero(values > top * max(rows, columns) * precision))
    squares = np.square(values)
    total = float(squares.sum())
    power_law = _fit(values, scale)
    # In logarithms, and relative to the largest value, no power leaves the range of float64.
    log_top = 2 * float(np.log10(top * scale)) if top else -np.inf
    log_norm = log_top + float(np.log10(total / top**2)) if top else -np.inf
    alpha_norm = weighted = None
    if power_law is not None:
        alpha_norm = power_law.alpha * log_top + float(np.log10(np.sum((squares / top**2) ** power_law.alpha)))
        weighted = power_law.alpha * log_top
    # Directions that dead rows or columns left empty are no noise; where most are, there is no noise to be fitted.
    full = rank if 2 * rank >= len(squares) else len(squares)
    relative = fit_bulk(squares[:full], max(rows, columns), max(1, round(min(rows, columns) * full / len(squares))))
    unit = scale * scale  # beyond 1e154 an eigenvalue is honestly infinite, which ** of a float would refuse
    bulk = replace(
        relative,
        variance=unit * relative.variance,
        lower=unit * relative.lower,
        upper=unit * relative.upper,
        limit=unit * relative.limit,
    )
    shares = values[values > 0] / values.sum() if top else np.zeros(0)
    return Spectrum(
        rows=rows,
        columns=columns,
        matrices=len(matrices),
        singular_values=values * scale,
        rank=rank,
        stable_rank=total / top**2 if top else 0.0,
        effective_rank=float(np.exp(-np.sum(shares * np.log(shares)))) if top else 0.0,
        bulk=bulk,
        power_law=power_law,
        log_norm=log_norm,
        log_spectral_norm=log_top,
        log_alpha_norm=alpha_norm,
        alpha_weighted=weighted,
        mp_soft_rank=relative.upper / top**2 if top else 0.0,
        exact=not error,
        error=error,
    )
