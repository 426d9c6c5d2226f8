"""What every format gives: a read-only mapping from names to lazily read weights."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from weightsmith.errors import InputError
from weightsmith.names import printable, suggestion
from weightsmith.weight import Role, WeightInfo

if TYPE_CHECKING:
    import numpy as np

    from weightsmith.sketch import Sketch
    from weightsmith.sources.file import File

_SHOWN = 100
"""Rows that a notebook shows before it says how many more there are."""


class UnknownWeightError(InputError, KeyError):
    """A source holds no weight of that name; a `KeyError`, so that mappings behave as usual."""

    __str__ = Exception.__str__  # KeyError's own would print the message in quotes


BLOCK = 1 << 22
"""Elements that `Weight.blocks` hands out at a time, at most: 16 MiB of float32."""


@dataclass(frozen=True)
class Place:
    """Where the values of a weight lie, plain and back to back in C order: whoever wants can read any of them.

    Attributes:
        file: the file that holds them.
        offset: of the first byte.
        dtype: NumPy type of each element, byte order included; one that NumPy or `ml_dtypes` knows.
    """

    file: "File"
    offset: int
    dtype: "np.dtype[Any]"


@dataclass(frozen=True)
class Weight:
    """One weight of a source: described at once, read when asked.

    Exactly how depends on the format: values that lie plain in a file have a `place`, all others are computed (from
    compressed or packed bytes, from a live tensor) as a whole by `_read` or, where that saves memory, by `_blocks`.

    Attributes:
        info: its name, shape, dtype, role and place in the model.
        nbytes: bytes that it takes where it is kept.
        place: where its values lie, or None where they have to be computed.
    """

    info: WeightInfo
    nbytes: int
    _read: "Callable[[], np.ndarray[Any, Any]] | None" = field(default=None, repr=False, compare=False)
    place: Place | None = field(default=None, repr=False, compare=False)
    _blocks: "Callable[[], Iterator[np.ndarray[Any, Any]]] | None" = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Its dotted name, exactly as the source gives it: use `printable` before showing it."""
        return self.info.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions; `()` for a scalar."""
        return self.info.shape

    @property
    def dtype(self) -> str:
        """NumPy-style name of its type (`float32`, `bfloat16`, ...)."""
        return self.info.dtype

    @property
    def role(self) -> Role:
        """What it does in its layer."""
        return self.info.role

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.info.size

    def read(self) -> "np.ndarray[Any, Any]":
        """Its values as a read-only array of its shape; a view of a large file or live tensor where that is possible.

        bfloat16 and 8-bit floats come as `ml_dtypes` arrays.

        Raises:
            InputError: the values are not there (meta device) or not readable (packed sub-byte types).
            SourceError: the file became shorter, or its compressed bytes are damaged.
        """
        if self.place is not None:
            return _read_place(self.place, self.shape)
        import numpy as np

        if self._read is not None:
            array = np.asarray(self._read()).view()
        else:
            array = np.concatenate(list(self.blocks()) or [np.empty(0, np.float32)]).reshape(self.shape)
        array.flags.writeable = False
        return array

    def blocks(self) -> "Iterator[np.ndarray[Any, Any]]":
        """Its values in C order as consecutive one-dimensional arrays of at most `BLOCK` elements each.

        Takes no more memory than a block or two wherever the format allows it. A block may share its memory with the
        next: use it before asking for another.

        Raises:
            InputError, SourceError: as `read`.
        """
        if self.place is not None:
            for start in range(0, self.size, BLOCK):
                yield read_range(self.place, start, min(start + BLOCK, self.size))
        elif self._blocks is not None:
            yield from self._blocks()
        else:
            flat = self.read().reshape(-1)
            for start in range(0, flat.size, BLOCK):
                yield flat[start : start + BLOCK]

    def digest(self) -> str:
        """A 128-bit hash of its type, shape and bytes, as 32 hexadecimal digits: equal for equal weights in any file.

        Not cryptographic (xxh3): it recognizes, it does not authenticate.
        """
        from weightsmith.kernels import chunks

        return chunks.digest(self.dtype, self.shape, map(chunks.chunk_digest, chunks.evenly(self.blocks())))

    def sketch(self, threads: int | None = None) -> "Sketch":
        """One pass over its values: counts, moments, quantiles. Not kept: hold on to it where it is needed twice.

        Reads a few megabytes at a time wherever `blocks` does, and gives the very sketch of the whole array.

        Raises:
            InputError, SourceError: as `read`.
        """
        from weightsmith.kernels.stream import gather_blocks, gather_file
        from weightsmith.sketch import Sketch

        if self.place is not None:
            place = self.place
            gathered = gather_file(place.file.read_into, place.offset, place.dtype, self.size, threads)
        elif self._blocks is not None:
            gathered = gather_blocks(self._blocks(), self.size)
        else:
            return Sketch.of(self.read(), threads=threads)
        return Sketch(**vars(gathered.tally()))


def read_range(place: Place, start: int, stop: int) -> "np.ndarray[Any, Any]":
    """Elements [start, stop) of a place as a fresh one-dimensional array."""
    import numpy as np

    array = np.empty(stop - start, place.dtype)
    if array.size:
        place.file.read_into(place.offset + start * place.dtype.itemsize, array.view("u1").data)
    return array


def _read_place(place: Place, shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
    import numpy as np

    count = math.prod(shape)
    found = place.file.view(place.offset, count * place.dtype.itemsize)
    array = np.frombuffer(found, place.dtype, count) if count else np.empty(0, place.dtype)
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array.reshape(shape)


@dataclass(frozen=True)
class Aside:
    """Something that a file holds and that is no weight, or none that can be read: listed, never dropped silently.

    Attributes:
        name: as the file gives it.
        reason: why it was left aside, in a few words: "optimizer state", "a number, not a tensor", ...
        nbytes: bytes that it takes; 0 where that means nothing.
    """

    name: str
    reason: str
    nbytes: int = 0


class Source(Mapping[str, Weight]):
    """A read-only mapping from names to weights, in the order of the file or model.

    Args:
        label: what people call it: a path, a class name, a run and step.
        weights: its weights; names are unique.
        metadata: free text that the file carries beside its tensors.
        file_format: name of the format it was read from: `safetensors`, `onnx`, ...
        aside: what else is there and was left aside.
        files: all files that its weights are read from, in order; empty for a live model.
    """

    def __init__(
        self,
        label: str,
        weights: Iterable[Weight],
        metadata: Mapping[str, str] | None = None,
        *,
        file_format: str = "",
        aside: Iterable[Aside] = (),
        files: "Iterable[File]" = (),
    ) -> None:
        self.label = label
        self.metadata = dict(metadata or {})
        self.file_format = file_format
        self.aside = tuple(aside)
        self.files = tuple(files)
        self._weights = {weight.name: weight for weight in weights}

    def __getitem__(self, name: str) -> Weight:
        try:
            return self._weights[name]
        except KeyError:
            close = suggestion(name, (printable(known) for known in self._weights))
            raise UnknownWeightError(f"{printable(self.label)} has no weight '{printable(name)}'{close}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def __contains__(self, name: object) -> bool:
        return name in self._weights

    @property
    def infos(self) -> list[WeightInfo]:
        """The descriptions of all weights, without reading any."""
        return [weight.info for weight in self._weights.values()]

    def __repr__(self) -> str:
        elements = sum(weight.size for weight in self._weights.values())
        return f"<Source {printable(self.label)}: {len(self)} weights, {elements:,} elements>"

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{escape(printable(weight.name))}</td><td>{escape(str(list(weight.shape)))}</td>"
            f"<td>{escape(weight.dtype)}</td><td>{weight.role}</td><td>{weight.size:,}</td></tr>"
            for weight in list(self._weights.values())[:_SHOWN]
        ]
        more = f"<p>and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        head = "<tr><th>weight</th><th>shape</th><th>dtype</th><th>role</th><th>elements</th></tr>"
        return f"<p>{escape(repr(self))}</p><table>{head}{''.join(rows)}</table>{more}"
