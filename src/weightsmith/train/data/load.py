"""Reading the data that a recipe names."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from weightsmith.errors import InputError, SourceError
from weightsmith.names import choose, suggestion
from weightsmith.train.data.arrays import read_npz
from weightsmith.train.data.assemble import assemble
from weightsmith.train.data.built_in import read_built_in
from weightsmith.train.data.data import Data
from weightsmith.train.data.idx import has_idx_files, read_idx_folder
from weightsmith.train.data.image_folder import has_images, read_image_folder
from weightsmith.train.data.raw import Raw
from weightsmith.train.data.svmlight import read_svmlight
from weightsmith.train.data.table import read_table
from weightsmith.train.recipe.fields import DataChoice
from weightsmith.train.recipe.names import BUILT_IN_DATA
from weightsmith.train.recipe.recipe import Recipe

_OPTIONS = ("exclude", "sequence", "image_size", "color", "missing")
"""Fields that some kinds of source read and others do not."""


@dataclass(frozen=True)
class _Kind:
    """A kind of source: what to call it, which of the options it reads, and how."""

    what: str
    options: frozenset[str]
    read: Callable[[Path, DataChoice], Raw]


_TABLE = _Kind(
    "tables", frozenset({"exclude", "missing"}), lambda path, choice: read_table(path, choice.target, choice.exclude)
)
_NPZ = _Kind(
    ".npz files", frozenset({"sequence", "missing"}), lambda path, choice: read_npz(path, bool(choice.sequence))
)
_SVMLIGHT = _Kind("svmlight files", frozenset(), lambda path, _: read_svmlight(path))
_IDX = _Kind("folders of IDX files", frozenset(), lambda path, _: read_idx_folder(path))
_IMAGES = _Kind(
    "folders of images",
    frozenset({"image_size", "color"}),
    lambda path, choice: read_image_folder(path, choice.image_size, choice.color),
)
_BUILT_IN = _Kind("built-in sets", frozenset(), lambda path, _: read_built_in(str(path)))

_ENDINGS = {
    ".csv": _TABLE,
    ".tsv": _TABLE,
    ".csv.gz": _TABLE,
    ".tsv.gz": _TABLE,
    ".parquet": _TABLE,
    ".npz": _NPZ,
    ".svm": _SVMLIGHT,
    ".svm.gz": _SVMLIGHT,
    ".libsvm": _SVMLIGHT,
    ".libsvm.gz": _SVMLIGHT,
    ".svmlight": _SVMLIGHT,
    ".svmlight.gz": _SVMLIGHT,
}


def load_data(recipe: Recipe) -> Data:
    """The rows that `recipe.data` names, split by `recipe.seed` and standardized by the training rows.

    Sources: the sets of scikit-learn by name; a folder of IDX files; a folder of images, one folder a class; `.npz`;
    CSV and Parquet tables; svmlight. Classes keep their proportions in every part of the split.

    Raises:
        SourceError: one line that names the file and what is wrong in it.
        InputError: for options that do not fit the source.
    """
    choice = recipe.data
    if choice.name is not None:
        name = choose(choice.name, BUILT_IN_DATA, "data")
        kind, path = _BUILT_IN, Path(name)
    else:
        assert choice.path is not None
        path = Path(choice.path).expanduser()
        kind = _kind(path)
    _check_options(kind, choice, path)
    return assemble(kind.read(path, choice), choice, recipe.task, recipe.seed)


def _kind(path: Path) -> _Kind:
    if path.is_dir():
        if has_idx_files(path):
            return _IDX
        if has_images(path):
            return _IMAGES
        raise SourceError(
            f"{path}: holds neither IDX files (train-images-idx3-ubyte) nor a folder of images for each class"
        )
    if not path.exists():
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceError(f"data: no file or folder at {path}{suggestion(path.name, near)}")
    for ending, kind in _ENDINGS.items():
        if path.name.lower().endswith(ending):
            return kind
    raise SourceError(f"{path}: this kind of file is not read as data: choose from {', '.join(_ENDINGS)}")


def _check_options(kind: _Kind, choice: DataChoice, path: Path) -> None:
    for option in _OPTIONS:
        if option not in kind.options and getattr(choice, option) not in (None, []):
            raise InputError(f"data.{option}: does not apply to {kind.what} such as {path}")
    if kind is not _TABLE and choice.target not in (None, "even"):
        raise InputError(
            f"data.target: {path} has no columns to choose '{choice.target}' from; leave it null, or set even"
        )
