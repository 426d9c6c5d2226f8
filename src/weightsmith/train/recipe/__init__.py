"""The recipe: the full, validated description of one training."""

from weightsmith.train.recipe.load import load_recipe
from weightsmith.train.recipe.recipe import Recipe

__all__ = ["Recipe", "load_recipe"]
