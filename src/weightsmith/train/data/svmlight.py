"""Sparse rows in svmlight (libsvm) text: `label index:value index:value ...`, plain or gzipped."""

import zlib
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from weightsmith.errors import SourceError
from weightsmith.train.data.raw import Raw

_MOST_FEATURES = 10_000_000
"""A dense batch of 32 rows of these takes more than a gigabyte; a larger index is a damaged file."""


def read_svmlight(path: Path) -> Raw:
    """The rows of a file, kept sparse; indices from 0 or from 1 are told apart by whether a 0 occurs.

    Raises:
        SourceError: for a line that is not svmlight, or a damaged gzip file.
    """
    from sklearn.datasets import load_svmlight_file

    try:
        matrix, labels = load_svmlight_file(str(path), dtype=np.float32)
    except (EOFError, zlib.error) as error:
        raise SourceError(f"{path}: truncated or damaged gzip file: {error}") from None
    except (ValueError, OverflowError, IndexError, OSError) as error:
        raise SourceError(f"{path}: not svmlight text: {' '.join(str(error).split())}") from None
    if matrix.shape[1] > _MOST_FEATURES:
        raise SourceError(f"{path}: index {matrix.shape[1]:,} is beyond the {_MOST_FEATURES:,} features supported")
    whole = bool(len(labels)) and bool(np.all(np.isfinite(labels))) and bool(np.all(labels == np.floor(labels)))
    rows = csr_array(matrix)
    rows.sum_duplicates()
    return Raw(str(path), rows, labels.astype(np.int64) if whole else labels)
