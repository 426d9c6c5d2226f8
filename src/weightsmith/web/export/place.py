"""Addresses as the page writes them: of its own views, after the `#`, and of the answers that it asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from weightsmith.errors import InputError
from weightsmith.names import printable

Value = str | int | None
Parameters = tuple[tuple[str, str], ...]

_UNTOUCHED = "!~*'()"
"""Besides letters, digits and `-_.`: what `encodeURIComponent` leaves as it is."""


def escaped(text: str | int) -> str:
    """A part of an address as the page writes it."""
    return quote(str(text), safe=_UNTOUCHED)


@dataclass(frozen=True)
class Asked:
    """What is asked for: segments below `api/` and parameters, as `address` of `ui/src/api/client.ts` takes them.

    Attributes:
        segments: parts of the path, not escaped.
        parameters: names and values in the order in which the page gives them.
    """

    segments: tuple[str, ...]
    parameters: Parameters = ()

    @classmethod
    def at(cls, *segments: str | int, **parameters: Value | list[str]) -> "Asked":
        """From segments and parameters; those that are None are left out, lists repeat their name."""
        return cls(tuple(map(str, segments)), tuple(_pairs(parameters)))

    @property
    def path(self) -> str:
        """The path, with every segment escaped."""
        return "/".join(["api", *map(escaped, self.segments)])

    @property
    def query(self) -> str:
        """The parameters as they are asked with."""
        return "&".join(f"{escaped(name)}={escaped(value)}" for name, value in self.parameters)

    @property
    def key(self) -> str:
        """What the answer is kept under: parameters by name, those of one name in their order."""
        pairs = sorted(((escaped(name), escaped(value)) for name, value in self.parameters), key=lambda pair: pair[0])
        return self.path + ("?" if pairs else "") + "&".join(f"{name}={value}" for name, value in pairs)


def _pairs(parameters: dict[str, Value | list[str]]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        if isinstance(value, list):
            yield from ((name, one) for one in value)
        elif value is not None:
            yield name, str(value)


@dataclass(frozen=True)
class Place:
    """A view of the page, as its address says after the `#`.

    Attributes:
        path: its parts, such as `("run", "s0", ID)`.
        parameters: what it shows, such as `(("tab", "layers"),)`.
    """

    path: tuple[str, ...] = ()
    parameters: Parameters = ()

    @classmethod
    def parsed(cls, address: str) -> "Place":
        """From a whole address, or what follows its `#`.

        Raises:
            InputError: there is no `#` in it.
        """
        _, hash_sign, after = address.partition("#")
        if not hash_sign:
            raise InputError(f"'{printable(address[:80])}' is no address of a view: it has no #, as in '#/run/s0/ID'")
        path, _, query = after.removeprefix("/").partition("?")
        segments = tuple(unquote(part) for part in path.split("/") if part)
        return cls(segments, tuple(parse_qsl(query, keep_blank_values=True)))

    def parameter(self, name: str) -> str:
        """The first value of a parameter; empty where there is none."""
        return next((value for key, value in self.parameters if key == name), "")

    @property
    def name(self) -> str:
        """The path alone, as the page writes it, without `#/`."""
        return "/".join(map(escaped, self.path))

    def __str__(self) -> str:
        query = "&".join(f"{escaped(name)}={escaped(value)}" for name, value in self.parameters)
        return f"#/{self.name}" + (f"?{query}" if query else "")
