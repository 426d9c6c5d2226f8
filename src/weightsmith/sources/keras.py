"""Keras 3 archives (`.keras`): a zip of the model's configuration and its weights in HDF5. No code is run."""

import json
import tempfile
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.archive import Archive
from weightsmith.sources.file import File, FileLike, LocalFile, as_file
from weightsmith.sources.hdf5 import open_hdf5
from weightsmith.sources.slice import Slice
from weightsmith.sources.source import Aside, Source

_CONFIG: Final = "config.json"
_METADATA: Final = "metadata.json"
_WEIGHTS: Final = "model.weights.h5"
_CONFIG_LIMIT: Final = 64 << 20
_METADATA_LIMIT: Final = 1 << 20


def open_keras(what: FileLike) -> Source:
    """Open a `.keras` file; names, classes and activations come from its configuration, values from its HDF5 member.

    That member is read in place where it is stored uncompressed, as Keras does; a compressed one is unpacked into a
    temporary file that nobody else can open and that vanishes with the source.

    Raises:
        SourceError: the file is missing, damaged, or holds no `model.weights.h5`.
    """
    file = as_file(what)
    archive = Archive(file)
    if _WEIGHTS not in archive:
        raise SourceError(
            f"{printable(file.label)}: the archive has no '{_WEIGHTS}': not a .keras file of Keras 2.12 or later"
        )
    config = _json(archive, _CONFIG, _CONFIG_LIMIT)
    about = _json(archive, _METADATA, _METADATA_LIMIT)
    found = open_hdf5(_member(archive), config)
    texts = {key: text for key, text in about.items() if isinstance(text, str)} if isinstance(about, dict) else {}
    others = [
        Aside(name, "a file beside the weights", archive.size(name))
        for name in archive.names
        if name not in (_CONFIG, _METADATA, _WEIGHTS)
    ]
    return Source(
        file.label,
        found.values(),
        {**found.metadata, **texts},
        file_format="keras",
        aside=[*found.aside, *others],
        files=[file],
    )


def _json(archive: Archive, name: str, limit: int) -> Any:
    """The values of a JSON member; None where there is none.

    Raises:
        SourceError: it is too long or no JSON.
    """
    if name not in archive:
        return None
    try:
        return json.loads(archive.read(name, limit))
    except SourceError:  # a ValueError too
        raise
    except (ValueError, RecursionError):
        raise SourceError(f"{printable(archive.file.label)}: '{name}' in it is not JSON") from None


def _member(archive: Archive) -> File:
    """The HDF5 member as a file."""
    start = archive.offset(_WEIGHTS)
    if start is not None:
        return Slice(archive.file, start, archive.size(_WEIGHTS), _WEIGHTS)
    if not archive.is_modest(_WEIGHTS):
        raise SourceError(
            f"{printable(archive.file.label)}: '{_WEIGHTS}' in it inflates to {archive.size(_WEIGHTS)} bytes, far more "
            "than it holds: unpack it and open the file inside"
        )
    try:
        with tempfile.NamedTemporaryFile(suffix=".h5") as unpacked:  # open files outlive their names
            for chunk in archive.chunks(_WEIGHTS):
                unpacked.write(chunk)
            unpacked.flush()
            found = LocalFile(unpacked.name)
    except OSError as error:
        raise SourceError(
            f"{printable(archive.file.label)}: cannot unpack '{_WEIGHTS}': {error.strerror or error}: set TMPDIR"
        ) from error
    found.label = f"{archive.file.label}:{_WEIGHTS}"
    return found
