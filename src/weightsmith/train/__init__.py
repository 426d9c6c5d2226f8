"""Training from a recipe.

What needs torch is loaded when first used, so that reading a recipe does not pay for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightsmith.train.data import Data, from_datasets, load_data
    from weightsmith.train.loop import Epoch
    from weightsmith.train.models import build_model
    from weightsmith.train.recipe import Recipe, load_recipe
    from weightsmith.train.result import TrainResult
    from weightsmith.train.training import train

_HOMES = {
    "Data": "data",
    "Epoch": "loop",
    "Recipe": "recipe",
    "TrainResult": "result",
    "build_model": "models",
    "from_datasets": "data",
    "load_data": "data",
    "load_recipe": "recipe",
    "train": "training",
}

__all__ = [
    "Data",
    "Epoch",
    "Recipe",
    "TrainResult",
    "build_model",
    "from_datasets",
    "load_data",
    "load_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"weightsmith.train.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'weightsmith.train' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
