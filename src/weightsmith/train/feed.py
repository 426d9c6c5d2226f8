"""Batches of one split on the device that trains."""

import torch
from scipy.sparse import csr_array
from torch import Tensor

from weightsmith.train.data import Split

RESIDENT = 2 << 30
"""Bytes of float32 inputs up to which a split is scaled once and kept on the device; a larger one is read batch by
batch."""
_ROWS = 4096


class Feed:
    """Rows of a split by position, ready for the model.

    Args:
        split: the rows.
        device: where batches go.
        sparse: whether the model takes sparse rows; those that are stored so then stay so, in batches as well.

    Attributes:
        targets: of all rows, on the device.
        home: where `batch` needs no waiting for the positions that it is given.
    """

    def __init__(self, split: Split, device: torch.device, sparse: bool = False) -> None:
        self._split = split
        self._device = device
        self._sparse = sparse and isinstance(split.inputs, csr_array)
        self.targets = split.targets.to(device)
        self._inputs = self._resident() if len(split) and not self._sparse else None
        self.home = torch.device("cpu") if self._inputs is None else device

    def __len__(self) -> int:
        return len(self._split)

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 inputs (len(rows), *input_shape) and their targets.

        Args:
            rows: int64 positions in the split; those on `home` are there already.
        """
        rows = rows.to(self.home)
        if self._sparse:
            return self._split.sparse_batch(rows)
        if self._inputs is not None:
            return self._inputs.index_select(0, rows), self.targets.index_select(0, rows)
        inputs, targets = self._split.batch(rows)
        return self._sent(inputs), self._sent(targets)

    def _sent(self, batch: Tensor) -> Tensor:
        """On the device, which goes on with its work meanwhile: a copy out of pinned memory waits for nothing."""
        return batch.pin_memory().to(self._device, non_blocking=True) if self._device.type == "cuda" else batch

    def _resident(self) -> Tensor | None:
        """All inputs at once; None where they are too large, or a dataset's items, which may change at each read."""
        if not hasattr(self._split.inputs, "shape"):
            return None
        first, _ = self._split.batch(torch.zeros(1, dtype=torch.int64))
        if first.numel() * 4 * len(self._split) > RESIDENT:
            return None
        whole = torch.empty((len(self._split), *first.shape[1:]), dtype=first.dtype, device=self._device)
        for start in range(0, len(self._split), _ROWS):
            end = min(start + _ROWS, len(self._split))
            whole[start:end] = self._split.batch(torch.arange(start, end))[0].to(self._device)
        return whole
