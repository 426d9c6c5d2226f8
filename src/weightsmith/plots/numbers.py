"""The numbers behind a picture, as plain JSON values."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

MOST = 64
"""Entries that are written out; of longer arrays only the shape is, as the picture shows them better."""


def numbers(record: Any) -> Any:
    """A record that a picture is drawn from, as JSON knows it: dataclasses as objects, arrays as lists or shapes."""
    if is_dataclass(record) and not isinstance(record, type):
        return {field.name: numbers(getattr(record, field.name)) for field in fields(record)}
    if isinstance(record, np.ndarray):
        return record.tolist() if record.size <= MOST else {"shape": list(record.shape), "dtype": str(record.dtype)}
    if isinstance(record, np.generic):
        return record.item()
    if isinstance(record, dict):
        return {str(key): numbers(value) for key, value in record.items()}
    if isinstance(record, (list, tuple)):
        if len(record) > MOST:
            return {"count": len(record), "first": [numbers(value) for value in record[:MOST]]}
        return [numbers(value) for value in record]
    return record
