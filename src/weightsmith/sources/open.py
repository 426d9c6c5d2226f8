"""The one way in: whatever holds weights becomes a `Source`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Union

from weightsmith.errors import InputError, SourceError
from weightsmith.names import printable
from weightsmith.sources.safetensors import open_safetensors
from weightsmith.sources.source import Source

if TYPE_CHECKING:
    from torch import nn

_ADVICE = "convert it with safetensors.torch.save_file(state_dict, 'model.safetensors')"


def open(what: Union[str, "os.PathLike[str]", "nn.Module", Source]) -> Source:
    """Open whatever holds weights.

    Args:
        what: the path of a `.safetensors` file, a live `nn.Module`, or a source, which is returned as it is.

    Raises:
        SourceError: the file is missing, malformed or of a format that is not supported.
        InputError: `what` is none of the above.
    """
    if isinstance(what, Source):
        return what
    if isinstance(what, (str, os.PathLike)):
        return _open_path(Path(what))
    torch = sys.modules.get("torch")  # whoever holds a module has loaded torch already
    if torch is not None and isinstance(what, torch.nn.Module):
        from weightsmith.sources.module import open_module

        return open_module(what)
    raise InputError(f"cannot open {_kind(what)}: give the path of a .safetensors file, an nn.Module or a Source")


def _open_path(path: Path) -> Source:
    shown = printable(str(path))
    if path.is_dir():
        raise SourceError(f"{shown} is a folder: give the path of a .safetensors file in it")
    if path.suffix.lower() == ".safetensors":
        return open_safetensors(path)
    if not path.exists():
        raise SourceError(f"{shown}: no such file")
    raise SourceError(f"{shown}: only .safetensors files can be opened; {_ADVICE}")


def _kind(what: object) -> str:
    return f"a value of type {type(what).__name__}"
