"""Any source of weights, packed: each weight in the smallest format that holds it."""

from collections.abc import Callable
from dataclasses import dataclass

from weightsmith.errors import InputError
from weightsmith.names import printable
from weightsmith.packing import Array, Candidate, Encoded, Floats, Format, smallest
from weightsmith.packing.content import is_float
from weightsmith.sources.packed import is_packed
from weightsmith.sources.source import Source, Weight
from weightsmith.weight import WeightInfo


@dataclass(frozen=True, eq=False)
class PackedEntry:
    """What became of one weight.

    Attributes:
        info: the weight as it was.
        entry: as it goes into the file.
        before: bytes that it took.
        candidates: the formats that hold it, the smallest first; empty where it was left as it is.
    """

    info: WeightInfo
    entry: Encoded | Array
    before: int
    candidates: tuple[Candidate, ...] = ()

    @property
    def after(self) -> int:
        """Bytes that it takes in the file, beside its lines in the header."""
        return self.entry.nbytes

    @property
    def format(self) -> Format:
        """What it is kept as."""
        return self.entry.format if isinstance(self.entry, Encoded) else "dense"

    @property
    def values(self) -> str:
        """How its values are kept: `signs`, `bits`, or the name of a type."""
        return self.entry.values if isinstance(self.entry, Encoded) else str(self.entry.dtype.name)


def pack_source(
    source: Source, *, values: Floats | None = None, progress: Callable[[int, int, str], None] | None = None
) -> list[PackedEntry]:
    """Pack the weights of a source by what is in them; `write_packed` makes a file of the entries.

    Matrices of floats are packed. Vectors and integers stay as they are: there is little to win, and what reads the
    file can take them as they are.

    Args:
        source: to be packed; one weight is in memory at a time, as far as dense weights can be mapped.
        values: round what is not binary or ternary to this type; by default nothing is lost.
        progress: is called with the bytes done, all bytes, and the name that follows.

    Raises:
        InputError: it is packed already, or a weight cannot be read or rounded; the message names it.
        SourceError: the file became shorter or is damaged.
    """
    refuse_packed(source)
    total, done = sum(weight.nbytes for weight in source.values()), 0
    found = []
    for name, weight in source.items():
        if progress is not None:
            progress(done, total, name)
        try:
            found.append(_packed(weight, values))
        except InputError as error:
            where = f"{printable(source.label)}: "
            message = str(error).removeprefix(where)
            shown = f"'{printable(name[:200])}'"
            raise type(error)(f"{where}{'' if shown in message else f'{shown}: '}{message}") from None
        done += weight.nbytes
    return found


def refuse_packed(source: Source) -> None:
    """Refuse a source that is packed already.

    Raises:
        InputError: it is.
    """
    if source.file_format == "packed" or is_packed(source):
        raise InputError(f"{printable(source.label)} is packed already: give the file that it was made from")


def _packed(weight: Weight, values: Floats | None) -> PackedEntry:
    array = weight.read()
    if array.ndim < 2 or not is_float(array.dtype):
        return PackedEntry(weight.info, array, weight.nbytes)
    found = smallest(array, name=weight.name, values=values)
    return PackedEntry(weight.info, found.encoded, weight.nbytes, found.candidates)
