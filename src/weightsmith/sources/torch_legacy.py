"""PyTorch's format of before 1.6, which `torch.save(..., _use_new_zipfile_serialization=False)` still writes.

Five pickles one after the other (a magic number, the version of the protocol, facts about the machine, the object, the
keys of its storages), then each storage: 8 bytes of element count and its elements, always little endian.
"""

import struct
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.checkpoint import Checkpoint
from weightsmith.sources.file import File
from weightsmith.sources.source import Source
from weightsmith.sources.torch_objects import KNOWN, Storage, storage_of
from weightsmith.sources.torch_tensors import Bytes, Tensors
from weightsmith.sources.unpickling import Bounded, unpickle

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001


def open_legacy(file: File) -> Source:
    """Open a file of the format of before 1.6; its weights keep their places in it.

    Raises:
        SourceError: the file is of another format, malformed, truncated, or needs code to be read.
    """
    label = printable(file.label)
    storages: dict[str, Storage] = {}
    with Bounded(file) as stream:
        _check_kind(file, stream)
        unpickle(stream, label, KNOWN.get)  # facts about the machine, of which none matters
        root = unpickle(stream, label, KNOWN.get, lambda identity: storage_of(identity, storages))
        keys = unpickle(stream, label, KNOWN.get)
        places = _places(file, storages, keys, stream.tell())

    def locate(storage: Storage) -> Bytes:
        if storage.key not in places:
            raise SourceError(
                f"{label}: storage '{printable(storage.key[:200])}' is not in the file: truncated or damaged"
            )
        return places[storage.key]

    return Checkpoint(file.label, root, Tensors(file.label, locate, big_endian=False)).source("torch", [file])


def _check_kind(file: File, stream: Bounded) -> None:
    label = printable(file.label)
    head = bytes(file.view(0, min(file.size, 512)))
    if head[257:262] == b"ustar":
        raise SourceError(
            f"{label}: a tar file, as PyTorch before 0.1.10 wrote: load it with torch.load and save it again"
        )
    if head[:1] != b"\x80":
        raise SourceError(f"{label}: not a PyTorch file (neither a zip file nor a pickle), or truncated")
    if unpickle(stream, label, KNOWN.get) != _MAGIC:
        raise SourceError(f"{label}: a pickle that torch.save did not write: only checkpoints of PyTorch can be read")
    if unpickle(stream, label, KNOWN.get) != _PROTOCOL:
        raise SourceError(f"{label}: of a version of PyTorch's old format that is not known")


def _places(file: File, storages: dict[str, Storage], keys: Any, start: int) -> dict[str, Bytes]:
    """Where each storage lies, by walking from one element count to the next."""
    label = printable(file.label)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise SourceError(f"{label}: has no list of storages: truncated or damaged")
    places: dict[str, Bytes] = {}
    for key in keys:
        storage = storages.get(key)
        if storage is None or key in places:
            raise SourceError(
                f"{label}: lists storage '{printable(key[:200])}', which no tensor uses, or lists it twice"
            )
        if start + 8 > file.size:
            raise SourceError(f"{label}: ends before storage '{printable(key[:200])}': truncated")
        (count,) = struct.unpack("<q", file.view(start, 8))
        length = storage.total * storage.type.itemsize
        if count != storage.total or start + 8 + length > file.size:
            raise SourceError(
                f"{label}: storage '{printable(key[:200])}' claims {count} elements where {storage.total} are expected "
                f"and {max(0, file.size - start - 8)} bytes are left: truncated or damaged"
            )
        places[key] = Bytes(file, start + 8, length)
        start += 8 + length
    return places
