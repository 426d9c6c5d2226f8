"""Folders of weights: Hugging Face models, adapters, pipelines of several models, sentence encoders, numbered shards.

The choice follows what the libraries themselves would load, in their order; where they would have to be told, one line
names the candidates.
"""

import os
import posixpath
import re
from collections.abc import Mapping, Sequence, Set
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, Union

from weightsmith.errors import SourceError
from weightsmith.names import printable
from weightsmith.sources.config import CONFIG, ModelConfig, read_config
from weightsmith.sources.file import File, LocalFile, inside
from weightsmith.sources.formats import is_weights, openable
from weightsmith.sources.json_file import CONFIG_LIMIT, read_json
from weightsmith.sources.layers import with_layers
from weightsmith.sources.sharded import join
from weightsmith.sources.single import open_single
from weightsmith.sources.source import Aside, Source

ENTRIES: Final = 100_000
"""Most files and folders in a folder that are looked at."""

DEPTH: Final = 2
"""How far folders of components are followed: a pipeline's models lie directly in it."""

PREFERRED: Final = (
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "open_clip_model.safetensors",
    "consolidated.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
    "open_clip_pytorch_model.bin",
    "adapter_model.safetensors",
    "adapter_model.bin",
)
"""Names under which libraries look for a model's weights; where several are there, they hold the same."""

_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+)")
_RANK = re.compile(r"consolidated\.(?P<rank>\d+)\.pth")

_COMPONENTS: Final = ("model_index.json", "modules.json")
"""Lists of component folders: a dictionary keyed by folder (Diffusers), a list of modules (sentence-transformers)."""

_NAMED: Final = 8
"""Most files that an error names."""

_ADAPTER_FACTS: Final = ("base_model_name_or_path", "peft_type", "r", "lora_alpha")

_FOREIGN: Final = {
    "saved_model.pb": ("a TensorFlow SavedModel", "load it in TensorFlow and save it as model.keras"),
    "flax_model.msgpack": ("a Flax model", "load it with from_flax=True in transformers and save_pretrained it"),
    ".metadata": (
        "a distributed PyTorch checkpoint",
        "convert it with: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt",
    ),
    "_CHECKPOINT_METADATA": (
        "an Orbax checkpoint",
        "restore it with orbax and save numpy.savez('model.npz', **arrays)",
    ),
    "zero_to_fp32.py": ("a DeepSpeed checkpoint", "convert it with: python zero_to_fp32.py FOLDER model.safetensors"),
}
"""Files that tell what else a folder without weights that open is, and how to convert it."""


class Folder(Protocol):
    """A folder that can be listed.

    Attributes:
        label: what people call it: its path or URL.
    """

    label: str

    def files(self) -> dict[str, int]:
        """Names of the files directly in it, in alphabetical order, with their sizes in bytes (0 where not known).

        Raises:
            SourceError: it cannot be listed, or holds more than `ENTRIES` things.
        """
        ...

    def file(self, name: str) -> File:
        """The file of that name in it.

        Raises:
            SourceError: there is none, or it may not be read.
        """
        ...

    def folder(self, name: str) -> "Folder":
        """The folder of that name in it; whether it exists shows when it is listed."""
        ...


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        self.label = os.fspath(path)
        self._path = Path(path)

    def files(self) -> dict[str, int]:
        """See `Folder.files`; what is no regular file is listed too, and refused when it is opened."""
        try:
            with os.scandir(self._path) as entries:
                found = list(islice(entries, ENTRIES + 1))
            if len(found) > ENTRIES:
                raise too_many(self.label)
            sizes = {entry.name: _size(entry) for entry in found if not entry.is_dir()}
        except (OSError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            raise SourceError(f"cannot list {printable(self.label)}: {reason}") from error
        return dict(sorted(sizes.items()))

    def file(self, name: str) -> File:
        """See `Folder.file`."""
        return LocalFile(self._path / name)

    def folder(self, name: str) -> "LocalFolder":
        """See `Folder.folder`."""
        return LocalFolder(self._path / name)


def too_many(label: str) -> SourceError:
    """The error for a folder that is too full to look through."""
    return SourceError(f"{printable(label)} holds more than {ENTRIES} things: give the path of the file of weights")


def open_folder(folder: Folder) -> Source:
    """Open the weights in a folder.

    Components of a pipeline are prefixed by their folder's name (`unet.`), pieces of a model that was cut for several
    devices by their file's (`consolidated.00.`). Other files of weights beside the chosen ones are listed in `aside`.

    Raises:
        SourceError: it holds no weights that open, or several that could be meant; or they are malformed.
    """
    return _open(folder, DEPTH)


def _open(folder: Folder, depth: int) -> Source:
    files = folder.files()
    listing = next((name for name in _COMPONENTS if name in files), None)
    components = _component_paths(folder, listing) if listing is not None and depth else []
    inner = {path: part for path in components if path and (part := _component(folder.folder(path), depth - 1))}
    if not inner:
        return _own(folder, files)
    pieces = [(f"{path.replace('/', '.')}.", part) for path, part in inner.items()]
    if not any(is_weights(name) for name in files):
        return join(folder.label, pieces)
    if "" in components:
        return join(folder.label, [("", _own(folder, files)), *pieces])
    whole = join(folder.label, pieces)
    return _with_aside(whole, _others(files, set()))


def _component_paths(folder: Folder, listing: str) -> list[str]:
    """The folders that a pipeline's list names, relative to it; `""` is the pipeline's own."""
    file = folder.file(listing)
    data: Any = read_json(file, CONFIG_LIMIT)
    if isinstance(data, dict):
        paths = [name for name, value in data.items() if isinstance(value, list) and not name.startswith("_")]
    elif isinstance(data, list):
        paths = [each["path"] for each in data if isinstance(each, dict) and isinstance(each.get("path"), str)]
    else:
        raise SourceError(f"{printable(file.label)}: neither a list of modules nor of components")
    checked = [posixpath.normpath(inside(path, file.label).replace("\\", "/")) if path else "" for path in paths]
    return list(dict.fromkeys("" if path == "." else path for path in checked))


def _component(folder: Folder, depth: int) -> Source | None:
    """The weights of a component; None for one that has none, such as a tokenizer, or whose folder is not there."""
    try:
        files = folder.files()
    except SourceError:
        return None
    if not any(is_weights(name) for name in files) and not any(name in files for name in _COMPONENTS):
        return None
    return _open(folder, depth)


def _own(folder: Folder, files: Mapping[str, int]) -> Source:
    """The weights directly in a folder."""
    chosen = _choice(folder.label, files)
    if len(chosen) == 1:
        source = open_single(folder.file(chosen[0]))
    else:
        source = join(folder.label, [(_prefix(name), open_single(folder.file(name))) for name in chosen])
    config, unread = _config(folder, files)
    source.metadata.update(_adapter(folder, files))
    used = {posixpath.basename(file.label.replace("\\", "/")) for file in source.files} | set(chosen)
    return with_layers(_with_aside(source, [*unread, *_others(files, used)]), config)


def _others(files: Mapping[str, int], used: Set[str]) -> list[Aside]:
    reason = "another file of weights in the folder: open it by its path"
    return [Aside(name, reason, size) for name, size in files.items() if is_weights(name) and name not in used]


def _with_aside(source: Source, more: Sequence[Aside]) -> Source:
    return Source(
        source.label,
        source.values(),
        source.metadata,
        file_format=source.file_format,
        aside=[*source.aside, *more],
        files=source.files,
    )


def _prefix(name: str) -> str:
    """Devices' shares of one model have the same names, so each gets its file's; numbered shards have their own."""
    return f"{name.removesuffix('.pth')}." if _RANK.fullmatch(name) else ""


def _choice(label: str, files: Mapping[str, int]) -> list[str]:
    """The file that holds the model, or the files that hold it together."""
    preferred = next((name for name in PREFERRED if name in files), None)
    if preferred is not None:
        return [preferred]
    candidates = [name for name in files if is_weights(name)]
    indexes = [name for name in candidates if name.endswith(".index.json")]
    if len(indexes) == 1:
        return indexes
    ranks = [name for name in candidates if _RANK.fullmatch(name)]
    shards = _numbered(label, candidates)
    for together in (ranks, shards):
        if together and len(together) == len(candidates):
            return together
    if len(candidates) > 1:
        named = ", ".join(printable(name) for name in candidates[:_NAMED])
        more = f" and {len(candidates) - _NAMED} more" if len(candidates) > _NAMED else ""
        raise SourceError(
            f"{printable(label)} holds {len(candidates)} files of weights, and nothing says which is meant: "
            f"give the path of one of {named}{more}"
        )
    if not candidates:
        raise _without_weights(label, files)
    return candidates


def _numbered(label: str, names: list[str]) -> list[str]:
    """Shards `model-00001-of-00003` when all files of weights are those of one model; [] otherwise."""
    found = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    if not found or len({(match["stem"], match["total"], match["suffix"]) for match in found}) > 1:
        return []
    total = int(found[0]["total"])
    missing = sorted(set(range(1, total + 1)) - {int(match["number"]) for match in found})
    if missing:
        lacking = f"{found[0]['stem']}-{missing[0]:05}-of-{total:05}{found[0]['suffix']}"
        raise SourceError(
            f"{printable(label)}: {len(missing)} of {total} shards are missing, such as {printable(lacking)}: "
            "put them into the folder, or give the path of one shard"
        )
    return [match.string for match in found]


def _without_weights(label: str, files: Mapping[str, int]) -> SourceError:
    shown = printable(label)
    for name, (what, advice) in _FOREIGN.items():
        if name in files:
            return SourceError(f"{shown} is {what}: {advice}")
    if not files:
        return SourceError(f"{shown} is a folder without files in it: give the path of a file or folder of weights")
    named = ", ".join(printable(name) for name in list(files)[:_NAMED])
    return SourceError(f"{shown} is a folder without weights that open; it holds {named}; {openable()}")


def _config(folder: Folder, files: Mapping[str, int]) -> tuple[ModelConfig | None, list[Aside]]:
    """The model's configuration; one that cannot be read is no reason not to open the weights, but it is said."""
    if CONFIG not in files:
        return None, []
    try:
        return read_config(folder.file(CONFIG)), []
    except SourceError as error:
        reason = f"cannot be read, so roles are told without it: {error}"
        return None, [Aside(CONFIG, reason, files[CONFIG])]


def _adapter(folder: Folder, files: Mapping[str, int]) -> dict[str, str]:
    """What an adapter's configuration says about its base model and rank."""
    if "adapter_config.json" not in files:
        return {}
    try:
        data = read_json(folder.file("adapter_config.json"), CONFIG_LIMIT)
    except SourceError:
        return {}
    facts = data if isinstance(data, dict) else {}
    return {f"adapter.{key}": str(facts[key])[:200] for key in _ADAPTER_FACTS if isinstance(facts.get(key), (str, int))}


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a link to nowhere
        return 0
