"""What a request gets when something is wrong: one line as `{"error": ...}` and the status that suits it."""

from weightsmith.errors import (
    InputError,
    MissingExtraError,
    SourceError,
    StoreError,
    UnknownRunError,
    WeightsmithError,
)
from weightsmith.names import printable


class UnknownError(WeightsmithError):
    """Nothing is served under this id or address."""


class StartError(WeightsmithError):
    """What answers requests cannot be loaded."""


class ChangedError(WeightsmithError):
    """The weights are no longer those that the request means."""


class BusyError(WeightsmithError):
    """As much as the server takes on at a time is being worked on already."""


def status_of(error: Exception) -> int:
    """The HTTP status of an error: 404 for what is not there, 409 for what cannot be read now, 400 for the rest."""
    if isinstance(error, (UnknownError, UnknownRunError)):
        return 404
    if isinstance(error, BusyError):
        return 503
    if isinstance(error, (ChangedError, SourceError, StoreError, MissingExtraError, OSError, MemoryError)):
        return 409
    return 400 if isinstance(error, InputError) else 500


def line_of(error: Exception) -> str:
    """The error in one printable line; what is not meant for people becomes a plain sentence."""
    if isinstance(error, WeightsmithError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"cannot read: {error.strerror or type(error).__name__}"
    elif isinstance(error, MemoryError):
        text = "this takes more memory than there is"
    else:
        text = "the server failed on this; the terminal that runs it shows the details"
    return printable(" ".join(text.split()))[:1000]
