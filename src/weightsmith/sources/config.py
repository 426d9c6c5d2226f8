"""What a model's own `config.json` says that its weights do not: how attention is cut into heads, and what is tied."""

from dataclasses import dataclass
from typing import Any, Self

from weightsmith.errors import SourceError
from weightsmith.sources.file import File
from weightsmith.sources.json_file import CONFIG_LIMIT, read_json

CONFIG = "config.json"

_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_KV_HEADS = ("num_key_value_heads", "n_kv_heads", "num_kv_heads")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
_HEAD_DIM = ("head_dim", "d_kv")


@dataclass(frozen=True)
class ModelConfig:
    """The few facts of a `config.json` that tell roles; None or empty where it does not say.

    Attributes:
        model_type: the family's name in the Transformers library: `gpt2`, `llama`, ...
        architectures: class names of the model.
        hidden_size: width of the stream between its blocks.
        heads: number of query heads.
        kv_heads: number of key and value heads; as many as query heads where they are not grouped.
        head_dim: width of one head.
        tied: whether it states that the input and output embeddings are one matrix.
    """

    model_type: str | None = None
    architectures: tuple[str, ...] = ()
    hidden_size: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    tied: bool = False

    @classmethod
    def parse(cls, data: Any) -> Self:
        """What a decoded `config.json` says; entries of an unexpected type say nothing.

        Models of text and images keep the language model's entries under `text_config`.
        """
        if not isinstance(data, dict):
            return cls()
        text = data.get("text_config")
        levels = [data, text] if isinstance(text, dict) else [data]
        heads = _number(levels, _HEADS)
        named = data.get("architectures")
        model_type = data.get("model_type")
        return cls(
            model_type=model_type if isinstance(model_type, str) else None,
            architectures=tuple(each for each in named if isinstance(each, str)) if isinstance(named, list) else (),
            hidden_size=_number(levels, _HIDDEN),
            heads=heads,
            kv_heads=1 if data.get("multi_query") is True else _number(levels, _KV_HEADS) or heads,
            head_dim=_number(levels, _HEAD_DIM),
            tied=any(level.get("tie_word_embeddings") is True for level in levels),
        )

    @property
    def equal_shares(self) -> bool:
        """Whether queries, keys and values take the same space, as far as is known."""
        return self.heads == self.kv_heads


def read_config(file: File) -> ModelConfig:
    """The configuration in a file.

    Raises:
        SourceError: it is too long or no JSON.
    """
    return ModelConfig.parse(read_json(file, CONFIG_LIMIT))


def config_beside(file: File) -> ModelConfig | None:
    """The configuration in the same folder as a file, or None where there is none that can be read."""
    try:
        return read_config(file.sibling(CONFIG))
    except SourceError:
        return None


def _number(levels: list[dict[str, Any]], keys: tuple[str, ...]) -> int | None:
    found = (level.get(key) for level in levels for key in keys)
    return next((value for value in found if type(value) is int and value > 0), None)
