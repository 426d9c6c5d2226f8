"""The networks that a recipe can name."""

from weightsmith.train.models.table import MODELS, ModelInfo, build_model

__all__ = ["MODELS", "ModelInfo", "build_model"]
