"""What a command is asked to look at: a file, folder or URL of weights, or a run in the store."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from weightsmith.cli.options import open_store
from weightsmith.errors import InputError, StoreError
from weightsmith.names import choose, printable
from weightsmith.weight import ROLES, Role

if TYPE_CHECKING:
    from weightsmith.sources import Source
    from weightsmith.store import Run

RoleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="PATTERN=ROLE",
        help=f"Role of the weights that match, where names mislead; may be repeated: {', '.join(ROLES)}.",
        show_default=False,
    ),
]
"""For the parameter `roles` of every command that takes a file of weights; hand it on to `subject`."""


@contextmanager
def subject(reference: str, store: str | None, roles: Sequence[str] | None = None) -> "Iterator[Run | Source]":
    """Open what `reference` names: an existing file or folder, a URL, or else a run.

    A name that looks like a path (it has a folder or a suffix of weights) but is not there is reported as a file.

    Args:
        reference: what the user wrote.
        store: the store that runs are looked up in; None for the user's own.
        roles: `pattern=role` as `--role` takes it; for weights that are opened, not for runs, which know their roles.

    Raises:
        SourceError: it is a file, folder or URL that does not open.
        StoreError: it is a run that is not there.
        InputError: a role is malformed or unknown, matches nothing, or is given for a run.
    """
    from weightsmith.sources import open as open_source

    chosen = parse_roles(roles or ())
    if is_weights_reference(reference):
        yield open_source(reference, roles=chosen)
        return
    if chosen:
        raise InputError(
            f"--role is for files of weights, and '{printable(reference)}' is a run, which knows its roles"
        )
    with ExitStack() as stack:
        try:
            run = stack.enter_context(open_store(store)).run(reference)
        except StoreError as error:
            if reference == "latest":
                raise
            raise StoreError(
                f"there is no file or folder '{printable(reference)}', nor does a run answer to that: {error}"
            ) from None
        yield run


def is_weights_reference(reference: str) -> bool:
    """Whether a reference means a file, folder or URL, even one that is not there, rather than a run."""
    from weightsmith.sources.formats import of_suffix
    from weightsmith.sources.open import is_url

    path = Path(reference)
    is_path = "/" in reference or len(path.parts) > 1
    return is_url(reference) or is_path or of_suffix(path.name) is not None or _exists(path)


def parse_roles(roles: Sequence[str]) -> dict[str, Role]:
    """Roles by pattern from texts `pattern=role`.

    Raises:
        InputError: there is no `=` or no pattern before it, or the role is unknown.
    """
    parsed: dict[str, Role] = {}
    for text in roles:
        pattern, separator, role = text.rpartition("=")
        if not separator or not pattern:
            raise InputError(f"--role '{printable(text)}' is not of the form 'pattern=role', such as 'head.*=linear'")
        parsed[pattern] = cast("Role", choose(printable(role), ROLES, "role"))
    return parsed


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # may not be looked at, or no possible name: opening it says why
        return True
