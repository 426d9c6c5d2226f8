"""Names that several parts of the recipe share, and telling names from paths."""

from pathlib import Path
from typing import Literal

BUILT_IN_DATA = ("digits", "breast_cancer", "wine", "diabetes", "iris")
"""Sets that come with scikit-learn, so that a first training needs no download."""

DEFAULT_EPOCHS = 20

Task = Literal["classification", "binary_classification", "regression"]


def is_path(data: str, folder: Path) -> bool:
    """Whether `data` in a recipe is meant as a path: it looks like one, or is there and no built-in set."""
    return data not in BUILT_IN_DATA and (any(sign in data for sign in "/\\.") or (folder / data).exists())
