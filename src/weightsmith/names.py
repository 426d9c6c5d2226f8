"""Names and how people refer to them: shell patterns, suggestions for mistyped ones, and their order by depth."""

import difflib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from weightsmith.errors import InputError

Patterns = str | Iterable[str]

_NUMBER = re.compile(r"(\d+)")

_RECURRENT = re.compile(r"((?:weight|bias)_[a-z]{2})_l(\d+)(_reverse)?$")
"""How PyTorch calls the weights of a recurrent layer: `weight_ih_l0`, `bias_hh_l1_reverse`."""


def matches(name: str, patterns: Patterns) -> bool:
    """Whether a dotted weight name matches one of the shell patterns (`*`, `?`, `[...]`).

    A pattern without `*` also selects everything below it, so `encoder` matches `encoder.0.weight`.
    """
    wanted = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in wanted)


def suggestion(given: str, allowed: Iterable[str]) -> str:
    """A closing clause for an error message: `; did you mean 'adam'?`, or nothing where no name is close."""
    close = difflib.get_close_matches(str(given).lower(), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def choose(given: str, allowed: Iterable[str], what: str) -> str:
    """Return `given` when it is one of `allowed`.

    Raises:
        InputError: naming `what`, the value given, the values allowed and the closest of them.
    """
    names = list(allowed)
    if given not in names:
        raise InputError(f"unknown {what} '{given}': choose from {', '.join(names)}{suggestion(given, names)}")
    return given


def printable(text: str) -> str:
    r"""The text with every control, format and surrogate character written out (`\x1b`), safe for a terminal or page.

    Names come from files that strangers wrote; raw escapes could recolor, erase or retitle a reader's terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def by_depth(names: Sequence[str]) -> list[str]:
    """The names in the order of their first appearance, save that numbers count: `layer.2` comes before `layer.10`.

    Files often list their weights by the alphabet; words keep the file's order, numbers under the same words do not.
    The number of a recurrent layer, which stands last in a name (`weight_ih_l0`), counts as if it stood before.
    """
    first: dict[str, int] = {}

    def key(name: str) -> tuple[int, ...]:
        parts = _NUMBER.split(_RECURRENT.sub(r"l\2\3.\1", name))
        prefixes = ("".join(parts[: i + 1]) for i in range(len(parts)))
        return tuple(
            int(part) if i % 2 else first.setdefault(prefix, len(first))
            for i, (part, prefix) in enumerate(zip(parts, prefixes, strict=True))
        )

    return [name for _, name in sorted([(key(name), name) for name in names], key=lambda pair: pair[0])]
