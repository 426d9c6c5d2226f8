"""Neurons of a layer laid out in two or three dimensions: t-SNE and UMAP, and PCA as their honest linear sibling."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from weightsmith.analysis.matrix import Held, neurons, row_blocks
from weightsmith.errors import InputError, MissingExtraError

MAX_CELLS = 1 << 26
"""Values read at most for one embedding (256 MiB as float32); a wider layer is embedded with fewer of its rows."""

NEIGHBOR_DIMENSIONS = 50
"""Dimensions kept by PCA before t-SNE looks for neighbors (30 in van der Maaten and Hinton, 2008; 50 is now usual)."""

EXAGGERATION_STEPS = 250


@dataclass(frozen=True)
class Embedding:
    """Rows of a matrix as points.

    Attributes:
        points: float64[k, dimensions].
        indices: int64[k], the row that each point stands for, ascending.
        method: `t-SNE`, `UMAP` or `PCA`; the first two fall back to PCA for very few or equal rows and say so here.
        left_out: int64, rows with NaN or Inf.
        total: rows of the matrix; more than the points and the rows left out where it was sampled.
        explained: for PCA, the share of the variance along each dimension; empty for the others.
        perplexity: for t-SNE and UMAP, about how many neighbors each point attends to.
        divergence: for t-SNE, the final Kullback-Leibler divergence, lower is more faithful; None where
            it was ended early.
        finished: False where the time limit ended the optimization early.
    """

    points: NDArray[np.float64]
    indices: NDArray[np.int64]
    method: Literal["t-SNE", "PCA", "UMAP"]
    left_out: NDArray[np.int64]
    total: int
    explained: tuple[float, ...] = ()
    perplexity: float | None = None
    divergence: float | None = None
    finished: bool = True


def pca(what: Held, dimensions: int = 2, *, limit: int = 5000, seed: int = 0) -> Embedding:
    """Rows along the directions of largest variance (principal component analysis).

    Args:
        what: real values `[n, ...]`, or a weight of a source; rows with NaN or Inf are left out.
        dimensions: coordinates wanted; those beyond the rank of the data are zero.
        limit: with more usable rows, that many evenly spaced ones are taken.
        seed: of the randomized decomposition that very large matrices get (Halko, Martinsson and Tropp, 2011).
    """
    if dimensions < 1:
        raise InputError(f"an embedding needs at least 1 dimension, not {dimensions}")
    matrix = neurons(what)
    rows, indices, left_out = _usable(matrix, limit)
    points, explained = _components(rows, dimensions, seed)
    return Embedding(points, indices, "PCA", left_out, len(matrix), explained)


def tsne(
    what: Held,
    dimensions: int = 2,
    *,
    perplexity: float | None = None,
    seed: int = 0,
    iterations: int = 500,
    limit: int = 5000,
    time_limit: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embedding:
    """Rows as points, near each other where the rows are (van der Maaten and Hinton, 2008).

    Starts from PCA, which keeps more of the global arrangement than a random start (Kobak and Berens, 2019). The same
    seed and matrix give the same picture.

    Args:
        what: real values `[n, ...]`, or a weight of a source; rows with NaN or Inf are left out.
        dimensions: 1, 2 or 3.
        perplexity: about how many neighbors a point attends to; by default 30, or a third of the rows where they
            are few. A larger one than a third of the rows is lowered to that.
        seed: of the optimization.
        iterations: after the 250 of early exaggeration.
        limit: with more usable rows, that many evenly spaced ones are taken.
        time_limit: seconds, checked every 25 iterations, after which the layout is taken as it is.
        progress: called with the iterations done and their total.

    Raises:
        InputError: a perplexity that is not positive, or another number of dimensions.
    """
    if perplexity is not None and not perplexity > 0:
        raise InputError(f"perplexity must be positive, not {perplexity}")
    if dimensions not in (1, 2, 3):
        raise InputError(f"a t-SNE has 1, 2 or 3 dimensions, not {dimensions}")
    matrix = neurons(what)
    rows, indices, left_out = _usable(matrix, limit)
    reduced, explained = _components(rows, min(NEIGHBOR_DIMENSIONS, *rows.shape) or 1, seed)
    spread = float(reduced[:, 0].std()) if len(reduced) else 0.0
    start = np.pad(reduced[:, :dimensions], ((0, 0), (0, max(0, dimensions - reduced.shape[1]))))
    if len(rows) < 5 or spread == 0:
        shares = (*explained, *(0.0,) * dimensions)[:dimensions]
        return Embedding(start, indices, "PCA", left_out, len(matrix), shares)
    neighbors = min(perplexity or 30.0, (len(rows) - 1) / 3)
    watch = _Watch(time_limit, progress, iterations + EXAGGERATION_STEPS)
    # Scaled to unit spread: the affinities do not depend on the unit, but their search loses precision on tiny values.
    points, divergence = _optimize(reduced / spread, start / spread * 1e-4, neighbors, seed, iterations, watch)
    return Embedding(points, indices, "t-SNE", left_out, len(matrix), (), neighbors, divergence, not watch.expired)


def umap(
    what: Held,
    dimensions: int = 2,
    *,
    neighbors: int = 15,
    seed: int = 0,
    limit: int = 5000,
) -> Embedding:
    """Rows as points by uniform manifold approximation and projection (McInnes, Healy and Melville, 2018).

    Needs the extra `umap`. One thread, as only then does the same seed give the same picture.

    Args:
        what: real values `[n, ...]`, or a weight of a source; rows with NaN or Inf are left out.
        dimensions: coordinates wanted.
        neighbors: how many each point attends to; lowered where there are fewer rows.
        seed: of the layout.
        limit: with more usable rows, that many evenly spaced ones are taken.

    Raises:
        InputError: fewer than one dimension, or fewer than two neighbors.
        MissingExtraError: umap-learn is not installed.
    """
    if dimensions < 1 or neighbors < 2:
        raise InputError(f"UMAP needs at least 1 dimension and 2 neighbors, not {dimensions} and {neighbors}")
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtraError("a UMAP layout needs umap-learn: pip install 'weightsmith[umap]'") from error
    matrix = neurons(what)
    rows, indices, left_out = _usable(matrix, limit)
    reduced, explained = _components(rows, min(NEIGHBOR_DIMENSIONS, *rows.shape) or 1, seed)
    spread = float(reduced[:, 0].std()) if len(reduced) else 0.0
    # Its spectral start needs some rows more than dimensions.
    if len(rows) < max(5, dimensions + 3) or spread == 0:
        shares = (*explained, *(0.0,) * dimensions)[:dimensions]
        padded = np.pad(reduced[:, :dimensions], ((0, 0), (0, max(0, dimensions - reduced.shape[1]))))
        return Embedding(padded, indices, "PCA", left_out, len(matrix), shares)
    near = min(neighbors, len(rows) - 1)
    model = UMAP(n_components=dimensions, n_neighbors=near, random_state=seed, n_jobs=1, init="pca")
    points = np.asarray(model.fit_transform((reduced / spread).astype(np.float32)), dtype=np.float64)
    return Embedding(points, indices, "UMAP", left_out, len(matrix), (), float(near))


def _usable(matrix: NDArray[Any], limit: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Rows to embed as float32, their indices, and the indices of rows with NaN or Inf."""
    finite = np.zeros(len(matrix), np.bool_)
    largest = 0.0
    for start, block in row_blocks(matrix):
        good = np.isfinite(block).all(axis=1)
        finite[start : start + len(block)] = good
        largest = max(largest, float(np.abs(block[good]).max(initial=0.0)))
    indices = np.flatnonzero(finite).astype(np.int64)
    limit = max(1, min(limit, MAX_CELLS // max(1, matrix.shape[1])))
    if len(indices) > limit:
        indices = indices[np.linspace(0, len(indices) - 1, limit).astype(np.int64)]
    # Only relative distances matter, and dividing keeps float64 weights of any size within float32.
    rows = np.asarray(matrix[indices]).astype(np.float64) / (largest or 1.0)
    return rows.astype(np.float32), indices, np.flatnonzero(~finite).astype(np.int64)


def _components(rows: NDArray[np.float32], dimensions: int, seed: int) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Principal coordinates float64[n, dimensions] and the share of variance along each."""
    points = np.zeros((len(rows), dimensions))
    if rows.size == 0:
        return points, (0.0,) * dimensions
    centered = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    variance = float(np.square(centered, dtype=np.float64).sum())
    if variance <= 1e-12 * len(rows):  # equal rows: rounding is no variance
        return points, (0.0,) * dimensions
    wanted = min(dimensions, *centered.shape)
    if min(centered.shape) <= 1000:
        left, values, _ = np.linalg.svd(centered.astype(np.float64), full_matrices=False)
    else:
        from sklearn.utils.extmath import randomized_svd

        left, values, _ = randomized_svd(centered, wanted, random_state=seed)
    left, values = left[:, :wanted], values[:wanted]
    # The sign of a component is arbitrary; fixing it makes pictures of similar layers comparable.
    flips = np.sign(left[np.argmax(np.abs(left), axis=0), np.arange(wanted)])
    points[:, :wanted] = left * flips * values
    shares = np.zeros(dimensions)
    shares[:wanted] = np.square(values) / variance
    return points, tuple(float(share) for share in shares)


class _Watch:
    """openTSNE's callback: reports progress and ends the optimization at the time limit."""

    def __init__(self, limit: float | None, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.expired = False
        self._deadline = None if limit is None else time.monotonic() + limit
        self._progress = progress
        self._total = total
        self._before = 0
        self._last = 0

    def __call__(self, iteration: int, error: float, embedding: NDArray[np.float64]) -> bool:
        if iteration < self._last:  # the count starts again after early exaggeration
            self._before = EXAGGERATION_STEPS
        self._last = iteration
        if self._progress is not None:
            self._progress(min(self._before + iteration, self._total), self._total)
        self.expired = self._deadline is not None and time.monotonic() > self._deadline
        return self.expired


def _optimize(
    rows: NDArray[np.float64],
    start: NDArray[np.float64],
    perplexity: float,
    seed: int,
    iterations: int,
    watch: _Watch,
) -> tuple[NDArray[np.float64], float | None]:
    from openTSNE import TSNE

    # Exact neighbors and one thread: approximate ones depend on the number of threads, and the same seed must give
    # the same picture. Interpolation, which is faster for many points, knows no third dimension.
    model = TSNE(
        n_components=start.shape[1],
        negative_gradient_method="bh" if start.shape[1] > 2 else "auto",
        perplexity=perplexity,
        initialization=start,
        neighbors="exact",
        n_iter=iterations,
        early_exaggeration_iter=EXAGGERATION_STEPS,
        random_state=seed,
        n_jobs=1,
        callbacks=watch,
        callbacks_every_iters=25,
    )
    fitted = model.fit(rows)
    return np.asarray(fitted, dtype=np.float64), fitted.kl_divergence  # None after an interruption
