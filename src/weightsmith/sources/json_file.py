"""JSON beside the weights: bounded in size, strict about keys that are there twice."""

import json
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File

INDEX_LIMIT: Final = 64 << 20
"""Longest index in bytes: those of models with half a million tensors have 60 MB."""

CONFIG_LIMIT: Final = 4 << 20
"""Longest configuration in bytes: the largest published ones, with their label maps, have 2 MB."""


def read_json(file: File, limit: int) -> Any:
    """The value of a JSON file.

    Args:
        file: what is read, whole.
        limit: most bytes that are acceptable.

    Raises:
        SourceError: it is too long, no JSON in UTF-8, nested too deeply, or has an object with the same key twice.
    """
    shown = printable(file.label)
    if file.size > limit:
        raise SourceError(f"{shown}: {file.size} bytes of JSON, and {limit} are allowed")
    try:
        return json.loads(bytes(file.view(0, file.size)).decode("utf-8"), object_pairs_hook=_distinct)
    except SourceError as error:
        raise SourceError(f"{shown}: {error}") from None
    except UnicodeDecodeError:
        raise SourceError(f"{shown}: not JSON: it is not text in UTF-8") from None
    except RecursionError:
        raise SourceError(f"{shown}: not usable JSON: it is nested too deeply") from None
    except ValueError as error:
        raise SourceError(f"{shown}: not JSON: {printable(str(error))}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise SourceError(f"'{printable(key[:200])}' is there twice")
        found[key] = value
    return found
