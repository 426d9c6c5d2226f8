"""The networks that a recipe can name."""

from weightsmith.train.models.build import build_model
from weightsmith.train.models.table import MODELS, ModelInfo

__all__ = ["MODELS", "ModelInfo", "build_model"]
