"""From labels and numbers to what a loss takes: deciding the task, numbering the classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from weightsmith.errors import InputError, SourceError
from weightsmith.train.data.raw import Raw
from weightsmith.train.recipe.names import Task

_MOST_CLASSES = 100
_ROWS_PER_CLASS = 5
"""Whole numbers are taken for classes if there are at most this many, with this many rows each on average."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Encoded targets of the rows, and of the published test rows where there are any.

    Attributes:
        task: what is predicted.
        rows: int64 class numbers (rows,), or float64 values (rows, outputs).
        test: the same for the published test set, or None.
        class_names: in the order of the numbers; None in regression.
    """

    task: Task
    rows: NDArray[Any]
    test: NDArray[Any] | None
    class_names: list[str] | None

    @property
    def outputs(self) -> int:
        """Logits or values to predict."""
        if self.task == "classification":
            return len(self.class_names or ())
        return 1 if self.task == "binary_classification" else int(self.rows.shape[1])

    def tensor(self, rows: NDArray[Any]) -> torch.Tensor:
        """Targets as the loss takes them; `Split.targets` gives shapes and types."""
        if self.task == "classification":
            return torch.from_numpy(rows.astype(np.int64))
        return torch.from_numpy(rows.reshape(len(rows), -1).astype(np.float32))


def encode_targets(raw: Raw, task: Task | None, target: str | None) -> Targets:
    """Decide the task where none is given, and encode the targets for it.

    Args:
        raw: the source.
        task: as the recipe gives it.
        target: `even` to tell even labels from odd ones; anything else was the reader's concern.

    Raises:
        SourceError: for targets that the task cannot be learned from.
        InputError: for a task that does not fit the targets.
    """
    labels, test = raw.targets, raw.test[1] if raw.test else None
    if not len(labels):
        raise SourceError(f"{raw.name}: holds no rows")
    names = raw.class_names
    if target == "even":
        labels, test = _even(labels, raw.name), None if test is None else _even(test, raw.name)
        names = ["odd", "even"]
    if task == "regression" or (task is None and _is_regression(raw, labels)):
        values = _numbers(labels, raw.name)
        if len(values) > 1 and (values == values[0]).all():
            raise SourceError(
                f"{raw.name}: every row has the same target, {labels.flat[0]:g}: there is nothing to learn"
            )
        return Targets("regression", values, None if test is None else _numbers(test, raw.name), None)
    classes = _classes(labels, raw.name)
    if task == "binary_classification" and len(classes) != 2:
        raise InputError(f"task: binary_classification needs 2 classes, but {raw.name} has {len(classes)}{_hint(raw)}")
    chosen: Task = task or ("binary_classification" if len(classes) == 2 else "classification")
    numbered = None if test is None else _numbered(test, classes, raw.name)
    return Targets(chosen, _numbered(labels, classes, raw.name), numbered, _class_names(classes, names))


def _hint(raw: Raw) -> str:
    return ": set data.target: even to tell even from odd" if raw.targets.dtype.kind in "iu" else ""


def _even(labels: NDArray[Any], name: str) -> NDArray[Any]:
    if labels.dtype.kind not in "iu":
        raise InputError(f"data.target: even needs whole-number labels, which {name} does not have")
    even: NDArray[Any] = (labels % 2 == 0).astype(np.int64)
    return even


def _is_regression(raw: Raw, labels: NDArray[Any]) -> bool:
    if raw.task:
        return raw.task == "regression"
    if labels.ndim > 1:
        return True
    if labels.dtype.kind not in "iuf":
        return False
    values = labels[np.isfinite(labels)]
    distinct = len(np.unique(values))
    whole = bool(np.all(values == np.floor(values)))
    return not whole or distinct > _MOST_CLASSES or distinct * _ROWS_PER_CLASS > len(labels)


def _numbers(labels: NDArray[Any], name: str) -> NDArray[np.float64]:
    if labels.dtype.kind not in "iufb":
        raise InputError(
            f"task: regression needs numbers, but the targets of {name} are text such as {str(labels.flat[0])!r}"
        )
    numbers = labels.reshape(len(labels), -1).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise SourceError(f"{name}: the target of row {bad[0] + 1} is not a finite number ({len(bad)} such rows)")
    return numbers


def _classes(labels: NDArray[Any], name: str) -> NDArray[Any]:
    if labels.ndim > 1:
        raise InputError(f"task: classes need one label a row, but the targets of {name} have shape {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise SourceError(f"{name}: the target of row {row + 1} is not a finite number")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise SourceError(f"{name}: every row has the same class, {_label(classes[0])}: there is nothing to learn")
    if len(classes) * 2 > len(labels):
        raise SourceError(
            f"{name}: {len(classes)} classes in {len(labels)} rows are too few rows for each: "
            "give more rows, or set task: regression if the targets are quantities"
        )
    return classes


def _numbered(labels: NDArray[Any], classes: NDArray[Any], name: str) -> NDArray[np.int64]:
    places = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    strange = np.flatnonzero(classes[places] != labels)
    if len(strange):
        raise SourceError(f"{name}: class {_label(labels[strange[0]])} is in the test set but not in the training set")
    return places.astype(np.int64)


def _class_names(classes: NDArray[Any], names: Any) -> list[str]:
    if names is not None:
        return [str(names[int(number)]) for number in classes]
    return [_label(value) for value in classes]


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, np.floating) else str(value)
