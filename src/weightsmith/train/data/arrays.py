"""NumPy archives: `.npz` files with `X` and `y`, or with `x_train`, `y_train`, `x_test` and `y_test`."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import SourceError
from weightsmith.train.data.raw import Raw

_NAMES = ("x", "y", "x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, sequence: bool) -> Raw:
    """The arrays of an archive; names count in any case.

    Inputs of (rows, features) are plain rows. Those of (rows, height, width) are images, or sequences of
    (time, features) if `sequence`. Those of four dimensions are images with the channels first, or last where only
    the last dimension can be a number of channels (1, 3 or 4). Pickled objects are never read.

    Raises:
        SourceError: for a damaged archive, missing arrays, arrays that do not fit together.
    """
    arrays = _read(path)
    if {"x_train", "y_train"} <= set(arrays):
        inputs, targets = _pair(arrays["x_train"], arrays["y_train"], path, sequence)
        test = None
        if {"x_test", "y_test"} <= set(arrays):
            test = _pair(arrays["x_test"], arrays["y_test"], path, sequence)
            if test[0].shape[1:] != inputs.shape[1:]:
                raise SourceError(
                    f"{path}: rows of x_train are {inputs.shape[1:]}, those of x_test {test[0].shape[1:]}"
                )
    elif {"x", "y"} <= set(arrays):
        (inputs, targets), test = _pair(arrays["x"], arrays["y"], path, sequence), None
    else:
        found = ", ".join(arrays) or "none"
        raise SourceError(f"{path}: needs arrays X and y, or x_train and y_train; found {found}")
    layout = "image" if inputs.ndim == 4 else "sequence" if inputs.ndim == 3 else "features"
    return Raw(str(path), inputs, targets, layout, test)  # type: ignore[arg-type]


def _read(path: Path) -> dict[str, NDArray[Any]]:
    damaged = SourceError(f"{path}: damaged or not an .npz file")
    try:
        with path.open("rb") as stream:
            magic = stream.read(6)
            if magic == np.lib.format.MAGIC_PREFIX:
                raise SourceError(f"{path}: is a single array: save both with numpy.savez(file, X=..., y=...)")
            # Anything else would be taken for a pickle, and refused as one.
            if not magic.startswith(b"PK"):
                raise damaged
            stream.seek(0)
            archive = np.load(stream, allow_pickle=False)
            # Arrays of other names are listed in the message, but not read.
            arrays = {name.lower(): archive[name] if name.lower() in _NAMES else np.empty(0) for name in archive.files}
    except SourceError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError) as error:
        if "allow_pickle" in str(error):
            raise SourceError(f"{path}: pickled objects are not read") from None
        raise damaged from None
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise damaged
    return arrays


def _pair(inputs: NDArray[Any], targets: NDArray[Any], path: Path, sequence: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    if inputs.dtype.kind not in "fiub" or not 2 <= inputs.ndim <= 4 or 0 in inputs.shape:
        raise SourceError(f"{path}: inputs must be numbers of 2 to 4 dimensions, but are {inputs.dtype} {inputs.shape}")
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim not in (1, 2) or len(targets) != len(inputs) or targets.dtype.kind not in "fiubU":
        raise SourceError(
            f"{path}: {len(inputs)} rows of inputs need as many targets, but these are {targets.dtype} {targets.shape}"
        )
    if sequence and inputs.ndim != 3:
        raise SourceError(f"{path}: data.sequence needs inputs of (rows, time, features), but they are {inputs.shape}")
    return _laid_out(inputs, sequence), targets.astype(np.int64) if targets.dtype.kind in "ub" else targets


def _laid_out(inputs: NDArray[Any], sequence: bool) -> NDArray[Any]:
    if inputs.ndim == 2 or sequence:
        return inputs.astype(np.float64)
    images = inputs[:, None] if inputs.ndim == 3 else inputs
    if images.shape[1] not in (1, 3, 4) and images.shape[3] in (1, 3, 4):
        images = np.moveaxis(images, 3, 1)
    return images if images.dtype == np.uint8 else images.astype(np.float32)
