"""Products of sparse weights and dense activations: linear layers and convolutions that skip the zeros."""

from weightsmith.kernels.sparse.convolution import sparse_convolution
from weightsmith.kernels.sparse.forms import (
    FORMS,
    Bitmask,
    Csr,
    Signs,
    SparseWeight,
    candidates,
    from_dense,
    resident_bytes,
    to_dense,
)
from weightsmith.kernels.sparse.linear import sparse_linear

__all__ = [
    "FORMS",
    "Bitmask",
    "Csr",
    "Signs",
    "SparseWeight",
    "candidates",
    "from_dense",
    "resident_bytes",
    "sparse_convolution",
    "sparse_linear",
    "to_dense",
]
