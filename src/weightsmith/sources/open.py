"""The one way in: whatever holds weights becomes a `Source`."""

import difflib
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Union, cast
from urllib.parse import unquote

from weightsmith.errors import InputError, SourceError
from weightsmith.names import choose, matches, printable, suggestion
from weightsmith.sources.config import config_beside
from weightsmith.sources.file import File, LocalFile
from weightsmith.sources.folder import ENTRIES, PREFERRED, LocalFolder, open_folder
from weightsmith.sources.layers import with_infos, with_layers
from weightsmith.sources.single import open_single
from weightsmith.sources.source import Source
from weightsmith.weight import ROLES, Role

if TYPE_CHECKING:
    from torch import nn

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+(::[a-z][a-z0-9+.-]+)*://", re.IGNORECASE)

_HUGGING_FACE: Final = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?")
"""Names of files that have the model's `config.json` beside them."""


def open(
    what: Union[str, "os.PathLike[str]", File, "nn.Module", Source], *, roles: Mapping[str, Role] | None = None
) -> Source:
    """Open whatever holds weights: nothing but headers is read now, and values when they are asked for.

    Args:
        what: the path of a file or folder, a URL (`https://`, `hf://`, `s3://`, `gs://` and others that fsspec knows),
            a live `nn.Module`, or a source.
        roles: roles by shell pattern over names, where those told from names and shapes are wrong; of several patterns
            that match a name, the last holds.

    Raises:
        SourceError: there is no such file or folder, it is malformed, or of a format that does not open.
        MissingExtraError: a URL needs a library that is not installed.
        InputError: `what` is none of the above, a role is unknown, or a pattern matches no weight.
    """
    source = _open(what)
    return _override(source, roles) if roles else source


def is_url(text: str) -> bool:
    """Whether a text is a URL and no path of this machine."""
    return _URL.match(text) is not None


def _open(what: object) -> Source:
    if isinstance(what, Source):
        return what
    if isinstance(what, str) and is_url(what):
        return _open_url(what)
    if isinstance(what, (str, os.PathLike)):
        return _open_path(os.fspath(what))
    if isinstance(what, File):
        return _open_file(what)
    torch = sys.modules.get("torch")  # whoever holds a module has loaded torch already
    if torch is not None and isinstance(what, torch.nn.Module):
        from weightsmith.sources.module import open_module

        return open_module(what)
    raise InputError(
        f"cannot open a value of type {type(what).__name__}: give the path of a file or folder of weights, a URL, "
        "an nn.Module or a Source"
    )


def _open_url(url: str) -> Source:
    if url.lower().startswith("file://"):
        return _open_path(unquote(re.sub(r"^file://(localhost)?", "", url, flags=re.IGNORECASE)))
    from weightsmith.sources.remote import open_remote

    found = open_remote(url)
    return _open_file(found) if isinstance(found, File) else open_folder(found)


def _open_path(path: str) -> Source:
    if not path:
        raise SourceError("'': no such file or folder; give a path")
    try:
        is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
    except FileNotFoundError:
        raise SourceError(f"{printable(path)}: no such file or folder{_close(path)}") from None
    except (OSError, ValueError):  # LocalFile says what is wrong
        is_folder = False
    return open_folder(LocalFolder(path)) if is_folder else _open_file(LocalFile(path))


def _open_file(file: File) -> Source:
    source = open_single(file)
    name = re.split(r"[/\\]", file.label)[-1]
    beside = config_beside(file) if name in PREFERRED or _HUGGING_FACE.fullmatch(name) else None
    return with_layers(source, beside)


def _close(path: str) -> str:
    """A suggestion of a name in the same folder, where one is close."""
    asked = Path(path)
    try:
        with os.scandir(asked.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(ENTRIES), strict=False)]
    except OSError:
        return ""
    close = difflib.get_close_matches(asked.name, names, n=1, cutoff=0.6)
    return f"; did you mean '{printable(str(asked.parent / close[0]))}'?" if close else ""


def _override(source: Source, roles: Mapping[str, Role]) -> Source:
    infos = source.infos
    for pattern, role in roles.items():
        chosen = cast("Role", choose(printable(role), ROLES, "role"))
        hits = [matches(info.name, pattern) for info in infos]
        if not any(hits):
            close = suggestion(pattern, (printable(info.name) for info in infos))
            raise InputError(f"no weight of {printable(source.label)} matches '{printable(pattern)}'{close}")
        infos = [replace(info, role=chosen) if hit else info for info, hit in zip(infos, hits, strict=True)]
    return with_infos(source, infos)
