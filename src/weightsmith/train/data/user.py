"""Data that the user already has in Python: arrays, tensors, datasets and loaders."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, issparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from weightsmith.errors import InputError
from weightsmith.train.data.data import Data, Split
from weightsmith.train.data.partition import partition
from weightsmith.train.data.raw import Raw
from weightsmith.train.data.targets import Targets, encode_targets
from weightsmith.train.recipe.names import Task

VALIDATION_SHARE = 0.15
"""Of the training rows, where no validation rows are given."""

Given = Dataset[Any] | DataLoader[Any] | Sequence[Any]
"""A map-style dataset of (input, target), a loader of one, or a pair of arrays or tensors (inputs, targets)."""


def from_datasets(
    train: Given,
    validation: Given | None = None,
    test: Given | None = None,
    *,
    task: Task | None = None,
    name: str = "data",
    seed: int = 0,
) -> Data:
    """Data for `train(recipe, data=...)` from what is already in memory or behind a dataset.

    Inputs are taken as they are: nothing is standardized. Of a loader, the dataset and its collate function are used;
    the recipe decides on batch size and order. Every target is read once, from `dataset.targets` where there is one.

    Args:
        train: rows to learn from.
        validation: rows measured each epoch; None: 15 % of the training rows, with the classes in proportion.
        test: rows measured at the end; None: none.
        task: what is predicted; None: inferred from the targets.
        name: for people.
        seed: of the split, where one is made.

    Raises:
        InputError: for an iterable dataset, inputs and targets of different length, or targets that fit no task.
    """
    sources = [_source(given, part) for given, part in ((train, "train"), (validation, "validation"), (test, "test"))]
    first, second, third = sources
    assert first is not None
    encoded = _encode([source for source in sources if source], name, task)
    targets = iter(encoded.tensor(rows) for rows in _cut(encoded.rows, [source for source in sources if source]))
    whole = first.split(next(targets))
    if second is None:
        classes = None if encoded.task == "regression" else encoded.rows[: len(whole)]
        rows, held_out, _ = partition(len(whole), (VALIDATION_SHARE, 0.0), seed, classes)
        if not len(rows):
            raise InputError(f"{name}: {len(whole)} training rows leave none to train on beside the validation rows")
        parts = _select(whole, rows), _select(whole, held_out)
    else:
        parts = whole, second.split(next(targets))
    shape = tuple(parts[0].batch(torch.zeros(1, dtype=torch.int64))[0].shape[1:])
    return Data(
        name=name,
        task=encoded.task,
        train=parts[0],
        validation=parts[1],
        test=third.split(next(targets)) if third else None,
        input_shape=shape,
        outputs=encoded.outputs,
        class_names=encoded.class_names,
        is_image=len(shape) == 3,
        is_sequence=len(shape) == 2,
    )


class _Source:
    """Inputs and raw targets of one given part."""

    def __init__(self, inputs: Any, targets: np.ndarray, collate: Callable[[list[Any]], Any]) -> None:
        self.inputs = inputs
        self.targets = targets
        self._collate = collate

    def split(self, targets: torch.Tensor) -> Split:
        return Split(self.inputs, targets, torch.arange(len(targets)), collate=self._collate)


def _select(whole: Split, rows: np.ndarray) -> Split:
    ids = torch.from_numpy(rows)
    inputs = whole.inputs
    if isinstance(inputs, torch.Tensor):
        inputs = inputs[ids]
    elif isinstance(inputs, csr_array):
        inputs = inputs[rows]
    return Split(inputs, whole.targets[ids], ids, collate=whole.collate)


def _encode(sources: list[_Source], name: str, task: Task | None) -> Targets:
    """Targets of all parts numbered together, so that a class has one number in all of them."""
    together = np.concatenate([source.targets for source in sources])
    if together.dtype.kind == "b":
        together = together.astype(np.int64)
    return encode_targets(Raw(name, np.empty((len(together), 0)), together), task, None)


def _cut(rows: np.ndarray, sources: list[_Source]) -> list[np.ndarray]:
    return np.split(rows, np.cumsum([len(source.targets) for source in sources])[:-1])


def _source(given: Any, part: str) -> _Source | None:
    if given is None:
        return None
    collate: Callable[[list[Any]], Any] = default_collate
    if isinstance(given, DataLoader):
        collate, given = given.collate_fn, given.dataset
    if isinstance(given, Dataset):
        if isinstance(given, IterableDataset) or not hasattr(given, "__len__"):
            raise InputError(
                f"{part}: an iterable dataset has no rows to choose from: give one with __len__ and __getitem__"
            )
        return _checked(_Source(given, _dataset_targets(given), collate), len(given), part)
    if isinstance(given, Sequence) and len(given) == 2:
        inputs = _as_inputs(given[0], part)
        return _checked(_Source(inputs, np.asarray(given[1]), collate), inputs.shape[0], part)
    raise InputError(f"{part}: must be a dataset, a loader or a pair (inputs, targets), got {type(given).__name__}")


def _checked(source: _Source, rows: int, part: str) -> _Source:
    if rows != len(source.targets) or not rows:
        raise InputError(
            f"{part}: {rows} rows of inputs need as many targets (at least one), got {len(source.targets)}"
        )
    if source.targets.ndim == 2 and source.targets.shape[1] == 1:
        source.targets = source.targets[:, 0]
    return source


def _as_inputs(given: Any, part: str) -> torch.Tensor | csr_array:
    if issparse(given):
        rows: csr_array = csr_array(given).astype(np.float32)  # type: ignore[call-overload]
        return rows
    values = given.detach().cpu() if isinstance(given, torch.Tensor) else np.asarray(given)
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "fiub":
            raise InputError(f"{part}: inputs must be numbers, got {values.dtype}")
        values = torch.from_numpy(
            np.ascontiguousarray(values, dtype=np.uint8 if values.dtype == np.uint8 else np.float32)
        )
    if values.ndim < 2:
        raise InputError(f"{part}: inputs need a row and a feature dimension, got shape {tuple(values.shape)}")
    return values


def _dataset_targets(dataset: Any) -> np.ndarray:
    if hasattr(dataset, "targets"):
        return np.asarray(dataset.targets)
    if hasattr(dataset, "tensors"):
        return np.asarray(dataset.tensors[1])
    return np.asarray([np.asarray(dataset[row][1]) for row in range(len(dataset))])
