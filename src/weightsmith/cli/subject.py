"""What a command is asked to look at: a file of weights, or a run in the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from weightsmith.cli.options import open_store

if TYPE_CHECKING:
    from weightsmith.sources import Source
    from weightsmith.store import Run


@contextmanager
def subject(reference: str, store: str | None) -> "Iterator[Run | Source]":
    """Open what `reference` names: an existing file as a source of weights, anything else as a run.

    A name that looks like a path (it has a folder or a suffix of weights) but is not there is reported as a file.
    """
    from weightsmith.errors import SourceError
    from weightsmith.sources import open as open_source

    path = Path(reference)
    if path.exists():
        yield open_source(path)
    elif len(path.parts) > 1 or path.suffix == ".safetensors":
        raise SourceError(f"{reference}: no such file; give a .safetensors file or a run (weightsmith runs lists them)")
    else:
        with open_store(store) as opened:
            yield opened.run(reference)
