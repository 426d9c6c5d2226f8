"""The one family of errors. Each message is a single line: what was wrong, where, what to do."""


class WeightsmithError(Exception):
    """Root of every error that Weightsmith raises on purpose; the command line prints it as one line."""


class InputError(WeightsmithError, ValueError):
    """What the user gave (an argument, a recipe field, a name) cannot be used."""


class SourceError(InputError):
    """A file or model that should hold weights is malformed, truncated or unsupported."""


class StoreError(WeightsmithError):
    """The store cannot be opened, read or written (wrong schema, full disk, unknown run)."""


class UnknownRunError(StoreError):
    """The store holds no run that is called so, or no longer."""


class MissingExtraError(WeightsmithError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""
