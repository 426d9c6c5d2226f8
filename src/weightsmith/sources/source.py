"""What every format gives: a read-only mapping from names to lazily read weights."""

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

_SHOWN = 100
"""Rows that a notebook shows before it says how many more there are."""


class UnknownWeightError(InputError, KeyError):
    """A source holds no weight of that name; a `KeyError`, so that mappings behave as usual."""

    __str__ = Exception.__str__  # KeyError's own would print the message in quotes


@dataclass(frozen=True)
class Weight:
    """One weight of a source: described at once, read when asked.

    Attributes:
        info: its name, shape, dtype, role and place.
        nbytes: bytes that it takes where it is kept.
    """

    info: WeightInfo
    nbytes: int
    _read: "Callable[[], np.ndarray[Any, Any]]" = field(repr=False, compare=False)

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
        """Its values as a read-only array of its shape; a view of the file or live tensor wherever that is possible.

        bfloat16 and 8-bit floats come as `ml_dtypes` arrays.

        Raises:
            InputError: the values are not there (meta device) or not readable (packed sub-byte types).
        """
        return self._read()

    def sketch(self, threads: int | None = None) -> "Sketch":
        """One pass over its values: counts, moments, quantiles. Not kept: hold on to it where it is needed twice."""
        from weightsmith.sketch import Sketch

        return Sketch.of(self.read(), threads=threads)


class Source(Mapping[str, Weight]):
    """A read-only mapping from names to weights, in the order of the file or model.

    Args:
        label: what people call it: a path, a class name, a run and step.
        weights: its weights; names are unique.
        metadata: free text that the file carries beside its tensors.
    """

    def __init__(self, label: str, weights: Iterable[Weight], metadata: Mapping[str, str] | None = None) -> None:
        self.label = label
        self.metadata = dict(metadata or {})
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
