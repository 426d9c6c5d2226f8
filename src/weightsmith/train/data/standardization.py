"""Scaling by mean and standard deviation, both taken from the training rows alone."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Standardization:
    """`(values - mean) / scale`, with mean and scale as float64 tensors that broadcast over a row.

    Attributes:
        mean: subtracted; zeros for sparse rows, which centering would fill.
        scale: divided by; 1 where the training rows are constant.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def apply(self, values: torch.Tensor) -> torch.Tensor:
        """Standardized float32 values; float64 ones are scaled before they are rounded."""
        precision = torch.float64 if values.dtype == torch.float64 else torch.float32
        mean, scale = self.mean.to(precision), self.scale.to(precision)
        return ((values.to(precision) - mean) / scale).float()

    def invert(self, values: torch.Tensor) -> torch.Tensor:
        """Values in original units, in the type and on the device of `values`."""
        return values * self.scale.to(values) + self.mean.to(values)


def of_features(rows: NDArray[np.floating | np.integer]) -> Standardization:
    """A mean and a deviation for each feature of (rows, ...)."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    # The computed mean and deviation of a constant may be a rounding error beside it and above zero.
    mean = np.where(low == high, low, rows.mean(axis=0, dtype=np.float64))
    return _standardization(mean, np.where(low == high, 0.0, rows.std(axis=0, dtype=np.float64)))


def of_sequences(rows: NDArray[np.floating | np.integer]) -> Standardization:
    """A mean and a deviation for each feature of (rows, time, features), over all steps."""
    return of_features(rows.reshape(-1, rows.shape[-1]))


def of_images(rows: NDArray[np.floating | np.integer]) -> Standardization:
    """One mean and one deviation for each channel of (rows, channels, height, width)."""
    if rows.dtype == np.uint8:
        counts = np.stack([np.bincount(rows[:, channel].ravel(), minlength=256) for channel in range(rows.shape[1])])
        levels = np.arange(256.0)
        mean = counts @ levels / counts.sum(axis=1)
        deviation = np.sqrt(counts @ levels**2 / counts.sum(axis=1) - mean**2)
        deviation = np.where((counts > 0).sum(axis=1) == 1, 0.0, deviation)
    else:
        low, high = rows.min(axis=(0, 2, 3)), rows.max(axis=(0, 2, 3))
        mean = np.where(low == high, low, rows.mean(axis=(0, 2, 3), dtype=np.float64))
        deviation = np.where(low == high, 0.0, rows.std(axis=(0, 2, 3), dtype=np.float64))
    return _standardization(mean[:, None, None], deviation[:, None, None])


def of_sparse(rows: csr_array) -> Standardization:
    """A deviation for each feature, and no mean: subtracting one would make zeros non-zero."""
    count, features = rows.shape
    values, columns = rows.data.astype(np.float64), rows.indices
    mean = np.bincount(columns, values, features) / count
    zeros = count - np.bincount(columns, minlength=features)
    variance = (np.bincount(columns, (values - mean[columns]) ** 2, features) + zeros * mean**2) / count
    # Beside values that are all the same, the variance is the square of the mean's rounding error.
    variance[variance <= (count * np.finfo(np.float64).eps * mean) ** 2] = 0.0
    return _standardization(np.zeros(features), np.sqrt(variance))


def _standardization(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Standardization:
    scale = np.where(deviation > 0, deviation, 1.0)
    return Standardization(torch.from_numpy(np.asarray(mean)), torch.from_numpy(np.asarray(scale)))
