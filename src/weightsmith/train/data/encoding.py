"""Turning columns into numbers: categories one-hot, missing values refused or imputed, as the training rows say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import SourceError
from weightsmith.train.data.raw import Raw

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Encoding:
    """How columns become features, fitted on the training rows.

    Attributes:
        medians: (columns,) put in place of a missing number.
        categories: column -> places of the levels that occur in training; each becomes a feature of 0 and 1.
        feature_names: of the features made, or None where the columns have no names.
    """

    medians: Matrix
    categories: dict[int, list[int]]
    feature_names: list[str] | None

    def apply(self, columns: Matrix) -> Matrix:
        """(rows, columns) -> (rows, features). A category unseen in training, or missing, is 0 in all its features."""
        filled = np.where(np.isnan(columns), self.medians, columns)
        if not self.categories:
            return filled
        parts = [
            (columns[:, [column]] == np.asarray(self.categories[column])).astype(np.float64)
            if column in self.categories
            else filled[:, [column]]
            for column in range(columns.shape[1])
        ]
        return np.concatenate(parts, axis=1)


def fit_encoding(raw: Raw, train: NDArray[np.int64], impute: bool) -> Encoding:
    """The encoding of a source's columns.

    Args:
        raw: the source, with columns as float64 and NaN where a value is missing.
        train: numbers of the training rows.
        impute: replace missing values: numbers by the median of the training rows, categories by none.

    Raises:
        SourceError: for infinite values, for missing ones unless `impute`, and for a column empty in training.
    """
    columns = np.asarray(raw.inputs)
    _refuse(np.isinf(columns), raw, "is infinite", "")
    missing = np.isnan(columns)
    if not impute:
        _refuse(missing, raw, "is missing", ": fill it in, or set data.missing: impute")
    numbers = [column for column in range(columns.shape[1]) if column not in raw.levels]
    for column in numbers:
        if missing[train, column].all():
            raise SourceError(f"{raw.name}: {_column(raw, column)} has no value in any training row: exclude it")
    medians = np.zeros(columns.shape[1])
    if missing.any():
        medians[numbers] = np.nanmedian(columns[np.ix_(train, np.asarray(numbers))], axis=0)
    categories = {
        column: [place for place in range(len(raw.levels[column])) if (columns[train, column] == place).any()]
        for column in raw.levels
    }
    return Encoding(medians, categories, _feature_names(raw, categories))


def _refuse(where: NDArray[np.bool_], raw: Raw, what: str, advice: str) -> None:
    found = np.argwhere(where)
    if len(found):
        row, column = found[0]
        also = f" ({len(found)} such values)" if len(found) > 1 else ""
        raise SourceError(f"{raw.name}: row {row + 1} of {_column(raw, column)} {what}{also}{advice}")


def _column(raw: Raw, column: int) -> str:
    return f"column '{raw.feature_names[column]}'" if raw.feature_names else f"column {column + 1}"


def _feature_names(raw: Raw, categories: dict[int, list[int]]) -> list[str] | None:
    if raw.feature_names is None:
        return None
    names: list[str] = []
    for column, name in enumerate(raw.feature_names):
        if column in categories:
            names += [f"{name}={raw.levels[column][place]}" for place in categories[column]]
        else:
            names.append(name)
    return names
