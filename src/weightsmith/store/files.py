"""The files of a run beside the database: where they are, and how a snapshot gets there whole."""

import errno
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError, SourceError, StoreError
from weightsmith.store.location import Location

if TYPE_CHECKING:
    import numpy as np

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def locate_file(location: Location, path: str) -> Path:
    """Where a file is that the database lists.

    Raises:
        StoreError: outside the store's folder. Who can write to a shared database must not be able to make others read
            or delete files elsewhere.
    """
    base = location.files.resolve()
    located = (base / path).resolve()
    if not located.is_relative_to(base):
        raise StoreError(f"the store {location.label} lists a file outside its folder ({path!r}): it was tampered with")
    return located


def prepare_folder(location: Location, run: str) -> Path:
    """The folder of a run's snapshots, made where it is missing and cleaned of what a killed process left behind."""
    folder = location.files / run / "snapshots"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, location, f"the folder {folder}") from error
    return folder


def write_file(
    location: Location, path: Path, tensors: "Mapping[str, np.ndarray[Any, Any]]", text: dict[str, str]
) -> int:
    """Write a snapshot atomically; returns its size in bytes.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing remains.
        InputError: a tensor that no file can hold.
    """
    from weightsmith.sources import write_safetensors

    try:
        write_safetensors(path, tensors, text)
        return path.stat().st_size
    except SourceError as error:
        cause = error.__cause__
        assert isinstance(cause, OSError), "writing fails for no other reason"
        raise _explained(cause, location, f"the snapshot {path.name}") from error


def snapshot_name(label: str, step: int, taken: Collection[str]) -> str:
    """A file name that is not taken.

    Raises:
        InputError: a label that no file name can hold.
    """
    if not _LABEL.fullmatch(label):
        raise InputError(f"a snapshot cannot be labeled {label!r}: use up to 64 letters, digits, '_', '-' and '.'")
    name, attempt = f"{label}-{step:09d}.safetensors", 1
    while name in taken:
        attempt += 1
        name = f"{label}-{step:09d}-{attempt}.safetensors"
    return name


def _explained(error: OSError, location: Location, what: str) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"disk full: {what} of the store {location.label} could not be written; what was written before is safe"
        )
    return StoreError(f"cannot write {what} of the store {location.label}: {error.strerror or error}")
