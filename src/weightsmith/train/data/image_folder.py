"""A folder of images: one folder a class, or `train` and `test` folders that hold one folder a class each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightsmith.errors import SourceError
from weightsmith.train.data.raw import Raw

_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def has_images(folder: Path) -> bool:
    """Whether a folder holds a folder of images, at one or two levels."""
    return any(file.suffix.lower() in _ENDINGS for depth in ("*/*", "*/*/*") for file in folder.glob(depth))


def read_image_folder(folder: Path, size: Sequence[int] | None, color: bool | None) -> Raw:
    """Images as bytes (rows, channels, height, width), classes by folder name in alphabetical order.

    Args:
        folder: the place.
        size: height and width to resize to; None: all images have one size already.
        color: RGB (True), grayscale (False), or RGB if any image of the training part has color (None).

    Raises:
        SourceError: naming the image that cannot be read or has another size.
    """
    parts = [folder / name for name in ("train", "test")]
    published = all(part.is_dir() and has_images(part) for part in parts)
    train_files = _files(parts[0] if published else folder)
    test_files = _files(parts[1]) if published else []
    if color is None:
        color = any(_has_color(file) for file, _ in train_files)
    inputs = _read(train_files, size, color)
    test = None
    if test_files:
        test = (_read(test_files, size or inputs.shape[2:], color), np.array([name for _, name in test_files]))
    return Raw(str(folder), inputs, np.array([name for _, name in train_files]), "image", test, task="classification")


def _files(folder: Path) -> list[tuple[Path, str]]:
    """Every image with the name of its class."""
    return [
        (file, group.name)
        for group in sorted(folder.iterdir())
        if group.is_dir() and not group.name.startswith(".")
        for file in sorted(group.iterdir())
        if file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
    ]


def _read(files: list[tuple[Path, str]], size: Sequence[int] | None, color: bool) -> NDArray[np.uint8]:
    first = _pixels(files[0][0], size, color)
    images = np.empty((len(files), *first.shape), np.uint8)
    for place, (file, _) in enumerate(files):
        pixels = _pixels(file, size, color)
        if pixels.shape != first.shape:
            raise SourceError(
                f"{file}: is {_shown(pixels)}, but {files[0][0].name} is {_shown(first)}: set data.image_size"
            )
        images[place] = pixels
    return images


def _shown(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[2]}"


def _pixels(file: Path, size: Sequence[int] | None, color: bool) -> NDArray[np.uint8]:
    """(channels, height, width) of one image."""
    with _opened(file) as image:
        try:
            image = image.convert("RGB" if color else "L")
            if size:
                image = image.resize((size[1], size[0]))
        except (OSError, SyntaxError, ValueError) as error:
            raise SourceError(f"{file}: damaged image: {' '.join(str(error).split())}") from None
        pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if color else pixels[None]


def _has_color(file: Path) -> bool:
    with _opened(file) as image:
        return image.mode not in ("1", "L", "LA", "I", "I;16", "F")


def _opened(file: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(file)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        cause = "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise SourceError(f"{file}: {cause}") from None
