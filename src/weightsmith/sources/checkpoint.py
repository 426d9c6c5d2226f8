"""What is what in a checkpoint: nested dictionaries become dotted names, metadata, and things left aside.

The rules, in order:

1. Where the top level is a dictionary and, beside optimizers, schedulers and numbers, exactly one entry holds tensors
   and that entry is a dictionary called as in `MODELS`, its names are used without that prefix; so
   `{"epoch": 5, "state_dict": {...}, "optimizer": {...}}` gives the names of the state dict. Repeated inside.
2. Otherwise all names keep their path, joined by dots (`generator.conv.weight`, `discriminator.conv.weight`, `0`).
   No other prefix is removed: `module.` of DataParallel stays.
3. Optimizers, and what Lightning keeps beside the weights, are left aside: one line each, with their bytes.
4. Numbers and short text are metadata under their dotted name; anything else is left aside.
"""

from collections.abc import Iterable
from typing import Any, Final

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.file import File
from weightsmith.sources.numpy_objects import Array
from weightsmith.sources.source import Aside, Source, Weight
from weightsmith.sources.torch_objects import Storage, Tensor, Unreadable
from weightsmith.sources.torch_tensors import Tensors
from weightsmith.sources.unpickling import Global, Opaque

MODELS: Final = (
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "state_dict_ema",
    "net",
    "params",
    "weights",
)
"""Names that training scripts give to the state dict in a checkpoint."""

_BESIDE: Final = {
    "optim": "optimizer state",
    "sched": "scheduler state",
    "rng_state": "state of a random number generator",
}
"""What parts of an entry's name say about a dictionary or list."""

_LIGHTNING: Final = {"callbacks": "what callbacks keep", "loops": "what the training loop keeps"}

_DEPTH: Final = 100
_NAME: Final = 512
_WEIGHTS: Final = 200_000
_REPEATED: Final = 4
_CHARACTERS: Final = 20 << 20
"""A few bytes of pickle can describe endless nesting by repetition: these bound what is made of it.

`_REPEATED`: how often each entry may be met on average; one state dict under several names is fine.
"""

_TEXT: Final = 1000
_METADATA: Final = 1000
_SHORT: Final = 16

_Leaf = Tensor | Array | Unreadable
_Container = dict[Any, Any] | list[Any] | tuple[Any, ...]


class Checkpoint:
    """What a checkpoint holds, sorted out.

    Args:
        label: name of the file.
        root: what was unpickled.
        tensors: makes the weights.

    Attributes:
        weights: by name, in the order of the file.
        metadata: numbers and short text by name.
        aside: everything else.

    Raises:
        SourceError: it is nested endlessly, or a tensor does not fit into the file.
    """

    def __init__(self, label: str, root: object, tensors: Tensors) -> None:
        self.weights: dict[str, Weight] = {}
        self.metadata: dict[str, str] = {}
        self.aside: list[Aside] = []
        self._label = label
        self._tensors = tensors
        self._visited = 0
        self._characters = 0
        self._more = 0
        self._holders, entries = _holders(root)
        self._most = 1000 + _REPEATED * entries
        self._add("", root, 0)
        if self._more:
            self.aside.append(Aside("", f"{self._more} more numbers and texts"))

    def source(self, file_format: str, files: Iterable[File]) -> Source:
        """The whole as a source."""
        weights = self.weights.values()
        return Source(self._label, weights, self.metadata, file_format=file_format, aside=self.aside, files=files)

    def _add(self, name: str, value: object, depth: int) -> None:
        self._count(name, depth)
        if isinstance(value, _Leaf):
            self._add_tensor(name or "tensor", value)
        elif isinstance(value, dict):
            self._add_dictionary(name, value, depth)
        elif isinstance(value, (list, tuple)):
            self._add_list(name, value, depth)
        else:
            self._add_value(name or "value", value)

    def _add_tensor(self, name: str, tensor: _Leaf) -> None:
        if name in self.weights:
            self.aside.append(Aside(name, "another tensor has the same name", self._tensors.nbytes(tensor)))
            return
        made = self._tensors.weight(name, tensor)
        if isinstance(made, Aside):
            self.aside.append(made)
            return
        self.weights[name] = made
        if len(self.weights) > _WEIGHTS:
            raise SourceError(f"{printable(self._label)}: more than {_WEIGHTS} tensors")

    def _add_dictionary(self, name: str, value: dict[Any, Any], depth: int) -> None:
        model = None if name else self._model(value)
        for key, item in value.items():
            text = key_text(key)
            path = f"{name}.{text}" if name else text
            reason = _beside(value, text, item, top=not name)
            if reason is not None:
                self._count(path, depth)
                self.aside.append(Aside(path, reason, self.nbytes(item)))
            else:
                self._add("" if key is model and model is not None else path, item, depth + 1)

    def _add_list(self, name: str, value: "list[Any] | tuple[Any, ...]", depth: int) -> None:
        if id(value) in self._holders:
            for index, item in enumerate(value):
                if _optimizes(item):
                    self.aside.append(Aside(f"{name}.{index}", _BESIDE["optim"], self.nbytes(item)))
                else:
                    self._add(f"{name}.{index}" if name else str(index), item, depth + 1)
        elif len(value) <= _SHORT and all(type(item) in (int, float, bool, str) for item in value):
            self._describe(name or "value", ", ".join(_shown(item) for item in value))
        else:
            self.aside.append(Aside(name, f"a list of {len(value)} values, none of them a tensor"))

    def _add_value(self, name: str, value: object) -> None:
        if isinstance(value, Opaque):
            self.aside.append(Aside(name, f"a {value.kind}, not a tensor"))
        elif isinstance(value, bytes):
            self.aside.append(Aside(name, f"{len(value)} bytes, not a tensor", len(value)))
        elif isinstance(value, Storage):
            nbytes = value.count * value.type.itemsize
            self.aside.append(Aside(name, "a bare storage, not a tensor", nbytes))
        elif isinstance(value, Global):
            self._describe(name, value.name)
        elif value is None or isinstance(value, (str, int, float, complex)):
            self._describe(name, _shown(value))
        else:
            self.aside.append(Aside(name, "not a tensor"))

    def _describe(self, name: str, text: str) -> None:
        if len(text) > _TEXT:
            self.aside.append(Aside(name, f"text of {len(text)} characters"))
        elif len(self.metadata) < _METADATA:
            self.metadata[name] = text
        else:
            self._more += 1

    def _model(self, value: dict[Any, Any]) -> object:
        """The key whose entry alone holds the model, or None (the first rule above)."""
        held = [
            key
            for key, item in value.items()
            if self._holds(item) and not _all_optimize(item) and _beside(value, key_text(key), item) is None
        ]
        if len(held) == 1 and held[0] in MODELS and isinstance(value[held[0]], dict):
            return held[0]
        return None

    def _holds(self, value: object) -> bool:
        return isinstance(value, _Leaf) or id(value) in self._holders

    def nbytes(self, root: object) -> int:
        """Bytes that the tensors in a value take, shared ones counted once."""
        seen: set[int] = set()
        shared: set[str] = set()
        total, waiting = 0, [root]
        while waiting:
            value = waiting.pop()
            if id(value) in seen:
                continue
            self._count("", 0)
            seen.add(id(value))
            if isinstance(value, Tensor) and value.storage.key not in shared:
                shared.add(value.storage.key)
                total += value.storage.total * value.storage.type.itemsize
            elif isinstance(value, (Array, Unreadable)):
                total += self._tensors.nbytes(value)
            elif isinstance(value, (dict, list, tuple)):
                waiting.extend(value.values() if isinstance(value, dict) else value)
        return total

    def _count(self, name: str, depth: int) -> None:
        self._visited += 1
        self._characters += len(name)
        if depth > _DEPTH or len(name) > _NAME or self._visited > self._most or self._characters > _CHARACTERS:
            raise SourceError(
                f"{printable(self._label)}: nested too deeply, or repeats itself too often: '{printable(name[:100])}'"
            )


def _holders(root: object) -> tuple[set[int], int]:
    """Identities of all containers that hold a tensor, however deep, and how many entries all containers have."""
    entries = 0
    parents: dict[int, list[int]] = {id(root): []}
    holding: list[int] = []
    waiting: list[_Container] = [root] if isinstance(root, (dict, list, tuple)) else []
    while waiting:
        container = waiting.pop()
        entries += len(container)
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, _Leaf):
                holding.append(id(container))
            elif isinstance(item, (dict, list, tuple)):
                if id(item) not in parents:
                    parents[id(item)] = []
                    waiting.append(item)
                parents[id(item)].append(id(container))
    found: set[int] = set()
    while holding:
        identity = holding.pop()
        if identity not in found:
            found.add(identity)
            holding.extend(parents[identity])
    return found, entries


def _optimizes(value: object) -> bool:
    """Whether a value is what `torch.optim.Optimizer.state_dict` gives."""
    return isinstance(value, dict) and "state" in value and "param_groups" in value


def _beside(parent: dict[Any, Any], key: str, value: object, top: bool = True) -> str | None:
    """Why an entry is no part of a model, or None where it may be one; names say so at the top level alone."""
    if _optimizes(value):
        return _BESIDE["optim"]
    if isinstance(value, Tensor):
        return _BESIDE["rng_state"] if top and "rng_state" in key and value.type.name == "uint8" else None
    if not top or not isinstance(value, (dict, list, tuple)):
        return None
    if "pytorch-lightning_version" in parent and key in _LIGHTNING:
        return _LIGHTNING[key]
    if _all_optimize(value):
        return None  # they are listed one by one
    return next((reason for part, reason in _BESIDE.items() if part in key.lower()), None)


def _all_optimize(value: object) -> bool:
    """Whether a container holds the states of several optimizers and nothing else."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return False
    return all(_optimizes(item) for item in (value.values() if isinstance(value, dict) else value))


def key_text(key: object) -> str:
    """What a key of a dictionary is called in a name: always valid Unicode, and of a length that the pickle had."""
    if isinstance(key, str):
        return key.encode("utf-8", "backslashreplace").decode() if not key.isascii() else key
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    return key.kind if isinstance(key, Opaque) else key.name if isinstance(key, Global) else _shown(key)


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _TEXT:  # Python refuses to spell them out
        return f"a number of {value.bit_length()} bits"
    return key_text(value) if isinstance(value, str) else str(value)
