"""Layers whose input may be sparse rows: text and other features of which few are not zero."""

from typing import Any

import torch
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class SparseInputLinear(nn.Linear):
    """`nn.Linear` that also takes rows as a sparse CSR tensor (batch, in_features).

    Work and memory then follow the values that are not zero, forward and backward; the result is the same to rounding.

    Attributes:
        computes: the class of torch's that has the same result for dense rows, so that packed layers can stand for it.
    """

    computes = nn.Linear

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gave it
        """(batch, in_features), dense or sparse CSR -> (batch, out_features)."""
        if input.layout is not torch.sparse_csr:
            return super().forward(input)
        product = torch.sparse.mm(input, self.weight.t()) if input.is_cuda else _multiply(input, self.weight)
        return product if self.bias is None else product + self.bias


class SparseInputDropout(nn.Dropout):
    """`nn.Dropout` that also takes rows as a sparse CSR tensor; the values that are zero stay so, dropped or not."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that torch gave it
        """Any shape, or sparse CSR -> the same."""
        if input.layout is not torch.sparse_csr:
            return super().forward(input)
        kept = super().forward(input.values())
        return torch.sparse_csr_tensor(
            input.crow_indices(), input.col_indices(), kept, input.shape, check_invariants=False
        )


def _multiply(rows: Tensor, weight: Tensor) -> Tensor:
    product: Tensor = _Product.apply(rows, weight)  # type: ignore[no-untyped-call]
    return product


class _Product(torch.autograd.Function):
    """Sparse rows times a dense weight, by SciPy: torch's own backward of it takes ten times as long."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return torch.from_numpy(_as_scipy(rows) @ weight.detach().numpy().T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (rows,) = ctx.saved_tensors
        return None, torch.from_numpy(_as_scipy(rows).T @ gradient.numpy()).t()


def _as_scipy(rows: Tensor) -> csr_array:
    """The same memory."""
    parts = (rows.values().numpy(), rows.col_indices().numpy(), rows.crow_indices().numpy())
    return csr_array(parts, shape=(rows.shape[0], rows.shape[1]))
