"""TorchScript archives (`torch.jit.save`): the weights alone. Their code is never run.

`data.pkl` describes the modules as objects with attributes; which of these are parameters and buffers stands in the
text of the code, where two literal lists head each class. Only these lists are looked for in it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.checkpoint import Checkpoint, key_text
from weightsmith.sources.file import FileLike, as_file
from weightsmith.sources.numpy_objects import Array
from weightsmith.sources.source import Aside, Source
from weightsmith.sources.torch_archive import TorchArchive
from weightsmith.sources.torch_objects import KNOWN, Tensor, Unreadable
from weightsmith.sources.unpickling import Global

CONSTANTS: Final = "constants.pkl"
"""The member that tells a TorchScript archive from what `torch.save` writes."""

_CODE_LIMIT: Final = 256 << 20
_DEPTH: Final = 100
_VISITED: Final = 1_000_000
_CHARACTERS: Final = 64 << 20

_LISTS = re.compile(r"^class (\w+)\(Module\):\n  __parameters__ = \[(.*)\]\n  __buffers__ = \[(.*)\]$", re.MULTILINE)
_ITEM = re.compile(r'"([^"]*)"')

_Leaf = Tensor | Array | Unreadable


class _Module:
    """An object of a class that the archive defines."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.attributes: dict[Any, Any] = {}

    def set_state(self, state: object) -> None:
        """Take its attributes; what `__getstate__` of a quantized layer gave is numbered."""
        if isinstance(state, dict):
            self.attributes.update(state)
        elif isinstance(state, tuple):
            self.attributes.update({str(index): value for index, value in enumerate(state)})


def open_torchscript(what: FileLike) -> Source:
    """Open a TorchScript archive.

    Parameters and buffers have the names that `torch.jit.load(...).state_dict()` gives them. Tensors that are mere
    attributes, or constants of the code, are left aside; only where a model has no parameters at all
    (`torch.jit.freeze` turns them into constants) the constants are its weights, named `constants.<number>`.

    Raises:
        SourceError: the file is missing, malformed, truncated or no TorchScript archive.
    """
    file = as_file(what)
    archive = TorchArchive(file)
    if CONSTANTS not in archive:
        raise SourceError(f"{printable(file.label)}: no TorchScript archive: it has no {CONSTANTS}")
    known = _classes()
    root = archive.unpickle("data.pkl", known)
    constants = archive.unpickle(CONSTANTS, known)
    if not isinstance(constants, (tuple, list)):
        raise SourceError(f"{printable(file.label)}: its {CONSTANTS} is no list: damaged")
    weights, aside = _Modules(archive).sort(root)
    found = Checkpoint(file.label, weights, archive.tensors("data"))
    named = {f"constants.{index}": value for index, value in enumerate(constants) if isinstance(value, _Leaf)}
    if not weights:
        found = Checkpoint(file.label, named, archive.tensors("constants"))
    else:
        aside += [Aside(name, "a constant of the code", found.nbytes(value)) for name, value in named.items()]
    aside += [Aside(name, "an extra file", size) for name, size in archive.under("extra/").items()]
    found.aside += aside
    return found.source("torchscript", [file])


def _classes() -> Callable[[str], Global | None]:
    """Stand-ins for the archive's own classes and for what TorchScript's lists are wrapped in, beside `KNOWN`."""
    made: dict[str, Global] = {}

    def known(name: str) -> Global | None:
        if name in KNOWN:
            return KNOWN[name]
        if name not in made and name.startswith("__torch__."):
            made[name] = Global(name, lambda arguments: _Module(name))
        elif name not in made and name.startswith("torch.jit._pickle."):
            made[name] = Global(name, lambda arguments: arguments[0])
        return made.get(name)

    return known


class _Modules:
    """Walks the modules of an archive.

    Args:
        archive: has the code of their classes.
    """

    def __init__(self, archive: TorchArchive) -> None:
        self._archive = archive
        self._label = printable(archive.file.label)
        self._lists: dict[str, dict[str, frozenset[str]]] = {}
        self._code_left = _CODE_LIMIT
        self._visited = 0
        self._characters = 0

    def sort(self, root: object) -> tuple[dict[str, Any], list[Aside]]:
        """Parameters and buffers by name, in the order of the file, and the tensors that are neither."""
        weights: dict[str, Any] = {}
        aside: list[Aside] = []
        for name, value, is_weight in self._walk("", root, 0):
            if is_weight:
                weights[name] = value
            else:
                aside.append(Aside(name, "an attribute, neither a parameter nor a buffer"))
        return weights, aside

    def _walk(self, name: str, value: object, depth: int) -> Iterator[tuple[str, Any, bool]]:
        """Name and value of each tensor under a module or container, and whether it is a parameter or buffer."""
        self._visited += 1
        self._characters += len(name)
        if depth > _DEPTH or self._visited > _VISITED or self._characters > _CHARACTERS:
            raise SourceError(f"{self._label}: nested too deeply or endlessly at '{printable(name[:100])}'")
        if isinstance(value, _Module):
            listed = self._listed(value.kind)
            for key, item in value.attributes.items():
                path = f"{name}.{key_text(key)}" if name else key_text(key)
                if isinstance(item, _Leaf):
                    yield path, item, listed is None or key in listed
                else:
                    yield from self._walk(path, item, depth + 1)
        elif isinstance(value, (dict, list, tuple)):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                path = f"{name}.{key_text(key)}" if name else key_text(key)
                if isinstance(item, _Leaf):
                    yield path, item, False
                elif isinstance(item, (dict, list, tuple, _Module)):
                    yield from self._walk(path, item, depth + 1)

    def _listed(self, kind: str) -> frozenset[str] | None:
        """Attributes of a class that its code lists as parameters and buffers; None where there is no such code."""
        module, _, name = kind.rpartition(".")
        if module not in self._lists:
            self._lists[module] = self._read(f"code/{module.replace('.', '/')}.py")
        return self._lists[module].get(name)

    def _read(self, member: str) -> dict[str, frozenset[str]]:
        if member not in self._archive:
            return {}
        code = self._archive.read(member, self._code_left)
        self._code_left -= len(code)
        found = _LISTS.finditer(code.decode("utf-8", "replace"))
        return {match[1]: frozenset(_ITEM.findall(match[2]) + _ITEM.findall(match[3])) for match in found}
