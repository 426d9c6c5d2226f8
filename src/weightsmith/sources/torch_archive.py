"""The zip file that `torch.save` and `torch.jit.save` write: pickles, and a member for each storage they refer to."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.archive import Archive
from weightsmith.sources.file import File
from weightsmith.sources.torch_objects import Storage, storage_of
from weightsmith.sources.torch_tensors import Bytes, Tensors
from weightsmith.sources.unpickling import PICKLE_LIMIT, Global, unpickle

_DESCRIPTION = "data.pkl"


class TorchArchive:
    """The members of one such file, named without the folder they are all in.

    Args:
        file: the file.

    Raises:
        SourceError: it is no zip file, or not one of PyTorch's.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.members = Archive(file)
        label = printable(file.label)
        found = [name for name in self.members.names if name.count("/") == 1 and name.endswith(f"/{_DESCRIPTION}")]
        if len(found) != 1:
            if any(name.endswith("/model.json") for name in self.members.names):
                raise SourceError(f"{label}: TorchScript of before PyTorch 1.4: load it and torch.jit.save it again")
            raise SourceError(f"{label}: a zip file with {len(found)} times data.pkl, not one that torch.save wrote")
        self._folder = found[0].removesuffix(_DESCRIPTION)
        self.big_endian = self._byte_order() == b"big"

    def __contains__(self, name: str) -> bool:
        return self._folder + name in self.members

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a member; see `Archive.read`."""
        return self.members.read(self._folder + name, limit)

    def under(self, prefix: str) -> dict[str, int]:
        """Names and sizes of the members whose name starts so."""
        start = self._folder + prefix
        names = [name for name in self.members.names if name.startswith(start)]
        return {name.removeprefix(self._folder): self.members.size(name) for name in names}

    def unpickle(self, name: str, known: Callable[[str], Global | None]) -> Any:
        """What a pickle in the archive holds.

        Raises:
            SourceError: it is damaged, or names code.
        """
        storages: dict[str, Storage] = {}
        stream = io.BytesIO(self.read(name, PICKLE_LIMIT))
        return unpickle(stream, self.file.label, known, lambda identity: storage_of(identity, storages))

    def tensors(self, folder: str) -> Tensors:
        """Makes the weights whose storages lie in a folder: `data` for those of `data.pkl`."""
        return Tensors(
            self.file.label, lambda storage: self._locate(f"{self._folder}{folder}/{storage.key}"), self.big_endian
        )

    def _locate(self, name: str) -> Bytes:
        offset, length = self.members.offset(name), self.members.size(name)
        return Bytes(self.file, offset, length, partial(self.members.chunks, name), self.members.is_modest(name))

    def _byte_order(self) -> bytes:
        order = self.read("byteorder", 16) if "byteorder" in self else b"little"
        if order not in (b"little", b"big"):
            raise SourceError(f"{printable(self.file.label)}: its byteorder is neither little nor big: damaged")
        return order
