"""The singular values of a matrix: all of them, or an estimate of their distribution where that takes too long."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import row_blocks

PROBES = 6
STEPS = 96
LEAST_STEPS = 12
EIGENVALUES = 4
"""How many times the operations of a square's Gram matrix its eigenvalues take."""
CONVERGED = 1e-4
"""Residual of an eigenvalue, relative to it, from which the recurrence has found it."""

Tell = Callable[[float, str], None]
"""Takes the share that is done, 0 to 1, and what is being done; what it raises ends the computation."""


def singular_values(matrix: NDArray[Any], scale: float, tell: Tell) -> NDArray[np.float64]:
    """All singular values of `matrix / scale`, largest first: float64[min(n, d)].

    Values of up to 32 bits go through the eigenvalues of the smaller Gram matrix, summed in float64: singular values
    are then right to about 1e-8 of the largest, finer than what float32 keeps of the matrix itself, in a half to a
    fifth of the time. float64 matrices get a decomposition proper. Complex or larger types do not occur.

    Args:
        matrix: finite real values, `[n, d]`.
        scale: positive; dividing by the largest magnitude keeps the squares within range.
        tell: called for each block of the Gram matrix and before the decomposition, which LAPACK does in one piece.
    """
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    large, small = matrix.shape
    if matrix.dtype == np.float64:
        from scipy.linalg import svdvals

        tell(0.0, f"Singular values of {large:,} x {small:,} in one piece")

        return np.asarray(svdvals(np.asarray(matrix) / scale, check_finite=False), dtype=np.float64)
    gram = np.zeros((small, small))
    share = large / (large + EIGENVALUES * small)
    for start, block in row_blocks(matrix):
        tell(share * start / large, f"Products of {large:,} x {small:,} values")
        block /= scale
        gram += block.T @ block
    tell(share, f"Eigenvalues of {small:,} x {small:,} in one piece")
    # Rounding leaves zeros on either side of zero.
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))[::-1])


def estimate(
    matrix: NDArray[Any], scale: float, *, seed: int, deadline: float | None, tell: Tell
) -> tuple[NDArray[np.float64], tuple[NDArray[np.float64], ...]]:
    """The distribution of the singular values of `matrix / scale` by stochastic Lanczos quadrature.

    Golub and Welsch's quadrature from random starts (Ubaru, Chen and Saad, Fast estimation of tr(f(A)) via stochastic
    Lanczos quadrature, 2017). Eigenvalues that every start has found count as themselves; the rest of the distribution
    is filled in at its quantiles.

    Args:
        matrix: finite real values, `[n, d]`; read in blocks, twice for each of up to `STEPS` steps.
        scale: as for `singular_values`.
        seed: of the random starts.
        deadline: `time.monotonic()` after which no further step is taken, once `LEAST_STEPS` are done.
        tell: called for each block of each step.

    Returns:
        float64[min(n, d)], largest first, from all starts; and the same from each start alone, whose spread tells the
        error.
    """
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    diagonals, beside = _recurrence(matrix, scale, seed, deadline, tell)
    rules = [_rule(diagonals[:, i], beside[:, i]) for i in range(PROBES)]
    every = tuple(_filled([rule], matrix.shape[1]) for rule in rules)
    return _filled(rules, matrix.shape[1]), every


def _recurrence(
    matrix: NDArray[Any], scale: float, seed: int, deadline: float | None, tell: Tell
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Diagonals float64[steps, probes] of the Gram matrix in Lanczos's bases, all starts side by side."""
    size = matrix.shape[1]
    start = np.random.default_rng(seed).choice([-1.0, 1.0], (size, PROBES)) / np.sqrt(size)
    bases, diagonals, beside = [start], [], []
    steps = min(STEPS, size)
    for step in range(steps):

        def within(share: float, step: int = step) -> None:
            tell((step + share) / steps, f"Estimating: step {step + 1} of at most {steps}")

        following = _gram_times(matrix, bases[-1], scale, within)
        diagonals.append(np.einsum("ij,ij->j", following, bases[-1]))
        # Twice against all former ones: without it found eigenvalues come up again as ghosts.
        for _ in range(2):
            for base in bases:
                following -= base * np.einsum("ij,ij->j", following, base)
        length = np.linalg.norm(following, axis=0)
        beside.append(length)
        late = deadline is not None and time.monotonic() > deadline and step + 1 >= LEAST_STEPS
        if late or (length <= 1e-12 * np.abs(diagonals[0]).max(initial=0.0)).any():
            break
        bases.append(following / length)
    return np.array(diagonals), np.array(beside)


def _gram_times(
    matrix: NDArray[Any], vectors: NDArray[np.float64], scale: float, tell: Callable[[float], None]
) -> NDArray[np.float64]:
    result, scaled = np.zeros(vectors.shape), vectors / scale
    for start, block in row_blocks(matrix):
        tell(start / len(matrix))
        result += block.T @ (block @ scaled)
    return result / scale


def _rule(
    diagonal: NDArray[np.float64], beside: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Nodes, weights and which nodes are eigenvalues for certain, of one start."""
    from scipy.linalg import eigh_tridiagonal

    found, vectors = eigh_tridiagonal(diagonal, beside[:-1])
    nodes: NDArray[np.float64] = np.maximum(found, 0.0, dtype=np.float64)
    residual = np.abs(beside[-1] * vectors[-1])
    return (
        nodes,
        np.asarray(np.square(vectors[0]), dtype=np.float64),
        np.asarray(residual <= CONVERGED * nodes, dtype=np.bool_),
    )


def _filled(
    rules: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]], size: int
) -> NDArray[np.float64]:
    """Singular values, largest first, that are distributed as the rules together say."""
    heads = []
    for nodes, _, certain in rules:
        # Only the run of certain ones from the top: further down one may hide between two that were found.
        run = np.flatnonzero(~certain[::-1])
        heads.append(int(run[0]) if len(run) else len(nodes))
    head = min(min(heads), size)
    found = np.mean([nodes[::-1][:head] for nodes, _, _ in rules], axis=0)
    rest = size - head
    if not rest:
        return np.asarray(np.sqrt(found))
    tails = [(nodes[: len(nodes) - head], weights[: len(nodes) - head]) for nodes, weights, _ in rules]
    nodes = np.concatenate([one for one, _ in tails])
    if not len(nodes):
        return np.asarray(np.sqrt(np.concatenate([found, np.zeros(rest)])))
    weights = np.concatenate([weight for _, weight in tails])
    order = np.argsort(nodes)
    shares = np.cumsum(weights[order])
    middle = (shares - weights[order] / 2) / shares[-1]
    filled = np.interp((np.arange(rest) + 0.5) / rest, middle, nodes[order])
    return np.asarray(np.sqrt(np.concatenate([found, filled[::-1]])))
