"""From a source as read to data as trained on: split, encode, standardize."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from weightsmith.errors import InputError, SourceError
from weightsmith.train.data.data import Data, Split
from weightsmith.train.data.encoding import fit_encoding
from weightsmith.train.data.partition import Indices, partition
from weightsmith.train.data.raw import Raw, Rows
from weightsmith.train.data.standardization import Standardization, of_features, of_images, of_sequences, of_sparse
from weightsmith.train.data.targets import Targets, encode_targets
from weightsmith.train.recipe.fields import DataChoice
from weightsmith.train.recipe.names import Task

TEST_SHARE = 0.15
"""Of the rows, where the recipe names no share and the source publishes no test set."""

_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Stored inputs of the rows and of the published test rows, with what was fitted to the training rows."""

    rows: Rows
    test: Rows | None
    feature_names: Sequence[str] | None
    standardization: Standardization | None

    def split(self, rows: Rows, targets: torch.Tensor, ids: Indices) -> Split:
        numbers = torch.from_numpy(ids)
        if not isinstance(rows, np.ndarray):
            return Split(rows[ids], targets, numbers, self.standardization)
        stored = torch.from_numpy(np.ascontiguousarray(rows[ids]))
        if stored.dtype == torch.uint8:
            return Split(stored, targets, numbers, self.standardization)
        ready = self.standardization.apply(stored) if self.standardization else stored.float()
        return Split(ready, targets, numbers)


def assemble(raw: Raw, choice: DataChoice, task: Task | None, seed: int) -> Data:
    """Split, encode and standardize a source; everything fitted is fitted to the training rows alone.

    Raises:
        SourceError: for rows that cannot be learned from.
        InputError: for options that do not fit the source.
    """
    targets = encode_targets(raw, task, choice.target)
    train, validation, test = _rows(raw, targets, choice, seed)
    inputs = _fit_inputs(raw, train, choice)
    values, target_standardization = _fit_targets(targets, train, choice.standardize)
    held_out = None
    if inputs.test is not None and values.test is not None:
        held_out = inputs.split(inputs.test, targets.tensor(values.test), np.arange(len(values.test)))
    elif len(test):
        held_out = inputs.split(inputs.rows, targets.tensor(values.rows[test]), test)
    return Data(
        name=raw.name,
        task=targets.task,
        train=inputs.split(inputs.rows, targets.tensor(values.rows[train]), train),
        validation=inputs.split(inputs.rows, targets.tensor(values.rows[validation]), validation),
        test=held_out,
        input_shape=tuple(inputs.rows.shape[1:]),
        outputs=targets.outputs,
        feature_names=inputs.feature_names,
        class_names=targets.class_names,
        is_image=raw.layout == "image",
        is_sequence=raw.layout == "sequence",
        standardization=inputs.standardization,
        target_standardization=target_standardization,
    )


def _rows(raw: Raw, targets: Targets, choice: DataChoice, seed: int) -> tuple[Indices, ...]:
    if raw.test is not None and choice.test is not None:
        raise InputError(f"data.test: {raw.name} publishes its own test set: leave it null")
    share = 0.0 if raw.test is not None else TEST_SHARE if choice.test is None else choice.test
    if choice.validation + share >= 1:
        raise InputError(
            f"data.validation: {choice.validation} leaves no rows to train on beside a test share of {share}"
        )
    classes = None if targets.task == "regression" else targets.rows
    count = len(targets.rows)
    parts = partition(count, (choice.validation, share), seed, classes)
    fewest = 1 if classes is None else len(np.unique(classes))
    if len(parts[0]) < fewest:
        raise SourceError(f"{raw.name}: {count} rows leave {len(parts[0])} to train on, at least {fewest} are needed")
    return parts


def _fit_inputs(raw: Raw, train: Indices, choice: DataChoice) -> _Inputs:
    rows, test, names = raw.inputs, raw.test[0] if raw.test else None, raw.feature_names
    if isinstance(rows, np.ndarray) and raw.layout == "features":
        encoding = fit_encoding(raw, train, choice.missing == "impute")
        rows, names = encoding.apply(rows), encoding.feature_names
        test = None if test is None else encoding.apply(np.asarray(test))
    for part in (rows, test):
        if part is not None:
            _check_range(part, raw.name)
    if not choice.standardize:
        return _Inputs(rows, test, names, None)
    if not isinstance(rows, np.ndarray):
        return _Inputs(rows, test, names, of_sparse(rows[train]))
    fit = {"features": of_features, "sequence": of_sequences, "image": of_images}[raw.layout]
    return _Inputs(rows, test, names, fit(rows[train]))


def _check_range(rows: Rows, name: str) -> None:
    values: NDArray[Any] = rows if isinstance(rows, np.ndarray) else rows.data
    if values.dtype.kind != "f" or not values.size:
        return
    bad = ~(np.abs(values) <= _LARGEST)
    if bad.any():
        found = values[bad][0]
        what = "beyond the range of 32-bit numbers" if np.isfinite(found) else "not finite"
        raise SourceError(f"{name}: the inputs hold {found:g}, which is {what} ({int(bad.sum())} such values)")


def _fit_targets(targets: Targets, train: Indices, standardize: bool) -> tuple[Targets, Standardization | None]:
    if targets.task != "regression" or not standardize:
        return targets, None
    fitted = of_features(targets.rows[train])

    def scaled(values: NDArray[Any]) -> NDArray[Any]:
        return fitted.apply(torch.from_numpy(values)).numpy()

    test = None if targets.test is None else scaled(targets.test)
    return Targets(targets.task, scaled(targets.rows), test, None), fitted
