"""What training reads: rows in batches, split in three."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.utils.data import Dataset, default_collate

from weightsmith.train.data.standardization import Standardization
from weightsmith.train.recipe.names import Task


@dataclass(frozen=True, eq=False)
class Split:
    """Rows for one purpose.

    Attributes:
        inputs: stored rows: a tensor (rows, *input_shape), a sparse matrix (rows, features), or the user's dataset.
        targets: classification: int64 (rows,); binary_classification: float32 0 or 1 (rows, 1);
            regression: float32 (rows, outputs), standardized where `Data.target_standardization` is set.
        ids: int64 (rows,): number of each row in its source.
        standardization: applied to stored rows as a batch is read; None: they are ready.
        collate: makes a batch of a user's dataset's items.
    """

    inputs: torch.Tensor | csr_array | Dataset[Any]
    targets: torch.Tensor
    ids: torch.Tensor
    standardization: Standardization | None = None
    collate: Callable[[list[Any]], Any] = field(default=default_collate, repr=False)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 inputs (len(indices), *input_shape) and their targets, on the CPU.

        Args:
            indices: int64 positions in this split.
        """
        if isinstance(self.inputs, torch.Tensor):
            inputs = self.inputs[indices]
        elif isinstance(self.inputs, csr_array):
            inputs = torch.from_numpy(self.inputs[indices.numpy()].toarray())
        else:
            inputs = self.collate([self.inputs[int(self.ids[index])] for index in indices])[0]
        inputs = self.standardization.apply(inputs) if self.standardization else inputs.float()
        return inputs, self.targets[indices]

    def sparse_batch(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `batch`, of inputs that are stored sparse: a sparse CSR tensor, which holds only what is not zero."""
        assert isinstance(self.inputs, csr_array)
        rows = self.inputs[indices.numpy()]
        values = rows.data.astype(np.float32)
        if self.standardization is not None:
            # sparse rows are scaled, never centered
            values = (rows.data / self.standardization.scale.numpy()[rows.indices]).astype(np.float32)
        pointers, columns, numbers = (torch.from_numpy(part) for part in (rows.indptr, rows.indices, values))
        shape = (len(indices), self.inputs.shape[1])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            batch = torch.sparse_csr_tensor(pointers, columns, numbers, shape, check_invariants=False)
        return batch, self.targets[indices]


@dataclass(frozen=True, eq=False)
class Data:
    """Everything that training needs to know about its rows.

    Attributes:
        name: of the source, for people.
        task: what is predicted.
        train: rows to learn from.
        validation: rows measured each epoch.
        test: rows measured once, at the end; None where none were asked for.
        input_shape: of one row: (features,), (time, features) or (channels, height, width).
        outputs: logits or values to predict; 1 for binary_classification.
        feature_names: of the columns of plain rows, where known.
        class_names: in the order of the class numbers; None in regression.
        is_image: rows are (channels, height, width).
        is_sequence: rows are (time, features).
        standardization: how stored inputs were or are scaled; None: not at all.
        target_standardization: its `invert` gives predictions in original units; None: they are in those already.
    """

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split | None
    input_shape: tuple[int, ...]
    outputs: int
    feature_names: Sequence[str] | None = None
    class_names: Sequence[str] | None = None
    is_image: bool = False
    is_sequence: bool = False
    standardization: Standardization | None = None
    target_standardization: Standardization | None = None
