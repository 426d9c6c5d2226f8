"""What the names of tensors in GGUF files mean.

Reference: `MODEL_TENSORS` and `TENSOR_NAMES` of llama.cpp's `gguf-py/gguf/constants.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

from weightsmith.sources.roles import infer_role
from weightsmith.weight import Role, WeightInfo

_EMBEDDING: Final = re.compile(r"(^|\.)(token_embd|position_embd|token_types|per_layer_token_embd|cls_embd)\.weight$")
_NORM: Final = re.compile(r"(^|[._])norm(_\w+)?\.weight$")
_CONV: Final = re.compile(r"(^|[._])(conv1d|conv|conv2d|patch_embd|conv_dw)(\.\d+)?\.weight$")
_OTHER: Final = re.compile(r"(^|\.)(rope_freqs|rope_factors_\w+|ssm_a|ssm_d|attn_sinks)(\.weight)?$|scale$")
_FUSED: Final = re.compile(r"attn_qkv\.(weight|bias)$")
_GATED: Final = re.compile(r"\.ffn_up\.weight$")


def gguf_info(name: str, shape: tuple[int, ...], dtype: str, metadata: Mapping[str, str]) -> WeightInfo:
    """The description of a tensor.

    Args:
        name: as the file gives it (`blk.0.attn_q.weight`).
        shape: outputs first.
        dtype: name of the stored type.
        metadata: of the file; tells whether queries, keys and values have equal shares.
    """
    return WeightInfo(name, shape, dtype, _role(name, shape), parts=_parts(name, shape, metadata))


def _role(name: str, shape: tuple[int, ...]) -> Role:
    if name.endswith(".bias"):
        return "bias"
    if _OTHER.search(name):
        return "other"
    if _EMBEDDING.search(name):
        return "embedding"
    if _NORM.search(name):
        return "norm"
    if _CONV.search(name) and len(shape) >= 2:
        return "conv"
    if len(shape) in (2, 3) and name.endswith(".weight"):
        return "linear"  # three dimensions: the experts of a mixture
    return infer_role(name, shape)


def _parts(name: str, shape: tuple[int, ...], metadata: Mapping[str, str]) -> tuple[str, ...]:
    architecture = metadata.get("general.architecture", "")
    heads = metadata.get(f"{architecture}.attention.head_count")
    shared = metadata.get(f"{architecture}.attention.head_count_kv", heads)
    if _FUSED.search(name) and heads == shared and shape and shape[0] % 3 == 0:
        return ("q", "k", "v")
    width = metadata.get(f"{architecture}.feed_forward_length", "")
    if _GATED.search(name) and shape and str(shape[0] // 2) == width and shape[0] % 2 == 0:
        return ("gate", "up")
    return ()
