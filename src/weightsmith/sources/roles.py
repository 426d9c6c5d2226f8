"""The role of a weight from its name and shape alone, for files that say nothing about layers."""

import re
from collections.abc import Sequence

from weightsmith.weight import Role

_WRAPPING = re.compile(r"(^|\.)parametrizations\.|\.original\d*$")
"""What `torch.nn.utils.parametrize` wraps around a parameter's plain name in a state dict."""

_BIAS = re.compile(r"(^|_)(bias|biases|beta)(_|$)")
_STATISTIC = re.compile(r"running_|num_batches_tracked|moving_")
_BUFFER = re.compile(
    r"_buffer$|^(inv_freq|freqs(_cis)?|(cos|sin)_cached|position_ids|token_type_ids|(attn|attention|causal)_mask"
    r"|masked_bias|relative_position_index|relative_coords_table)$"
)
"""What models keep beside their weights and never train: rotary frequencies, positions, masks."""

_QUANTIZATION = re.compile(
    r"^(q?zeros|g_idx|qweight|scb|(nested_)?(absmax|quant_map)|(weight|input|output)_(scale|zero_point)(_inv|_2)?)$"
    r"|^bitsandbytes__|(^|_)scales$|_blocks$"
)
"""What quantizing libraries (GPTQ, AWQ, bitsandbytes, compressed tensors) add or put in a weight's place."""

_NORM_LAYER = re.compile(r"(^|[._])((layer|batch|group|instance|rms)?norm|ln|bn|gn)[a-z]?\d*($|[._])")
_NORM_OWNER = re.compile(r"norm(_?[a-z])?_?\d*$|^ln(_\w)?$")
_NORM_NAME = re.compile(r"^(gamma|scale|g)$")
_EMBEDDING = re.compile(
    r"(?<!un)emb(ed|edd|eddings?|edder)?($|[\d._])|(^|[._])(wte|wpe|cls_token|mask_token|relative_attention_bias)($|[._])"
)
_UNEMBEDDING = re.compile(r"unembed|embed_out|proj")
_RECURRENT_NAME = re.compile(r"weight_(ih|hh|hr)|recurrent_kernel")
_RECURRENT_LAYER = re.compile(r"(^|[._])(lstm|gru|rnn)[a-z]*\d*($|[._])")
_MAGNITUDE = re.compile(r"^weight_g$|^original0$")
_ADAPTER = re.compile(r"(^|[._])lora_(embedding_)?(a|b|down|up)($|[._])")
_EXPERTS = re.compile(r"expert|(^|[._])(moe|block_sparse_moe)($|[._])|_exps($|[._])")


def infer_role(name: str, shape: Sequence[int]) -> Role:
    """The most likely role of a tensor in a file.

    Names decide first (`bias`, `bn1`, `embed_tokens`, `weight_hh_l0`), then the number of dimensions: a lone vector
    called `weight` scales a norm, a matrix is linear, three to five dimensions are a convolution.

    Args:
        name: its name, dotted as a state dict spells it, or with slashes as JAX and TensorFlow do.
        shape: its dimensions.

    Returns:
        The role; `other` for statistics, buffers, scalars and whatever no rule covers.
    """
    plain = _WRAPPING.sub(lambda match: match[1] or "", name).lower().replace("/", ".")
    path, _, last = plain.rpartition(".")
    if any(pattern.search(last) for pattern in (_STATISTIC, _MAGNITUDE, _BUFFER, _QUANTIZATION)):
        return "other"
    if _BIAS.search(last):
        return "other" if _is_mask(shape) else "bias"
    return _vector_role(path, last) if len(shape) < 2 else _matrix_role(path, last, shape)


def _is_mask(shape: Sequence[int]) -> bool:
    """Whether a "bias" is the causal mask (1, 1, length, length) that GPT-2 and its kin keep under that name."""
    return len(shape) == 4 and shape[0] == shape[1] == 1 and shape[2] == shape[3] > 1


def _vector_role(path: str, last: str) -> Role:
    if _EMBEDDING.search(last):
        return "embedding"
    scales = _NORM_LAYER.search(path) or _NORM_NAME.search(last) or _NORM_LAYER.search(last)
    activation = re.search(r"(^|[._])(prelu|act)", path)
    return "norm" if scales or (last == "weight" and not activation) else "other"


def _matrix_role(path: str, last: str, shape: Sequence[int]) -> Role:
    full = f"{path}.{last}"
    if _ADAPTER.search(full):
        return "linear" if len(shape) < 4 else "conv"
    if _RECURRENT_NAME.search(last) or (_RECURRENT_LAYER.search(path) and len(shape) == 2):
        return "recurrent"
    if last in ("weight", "scale", "gamma") and _NORM_OWNER.search(path.rpartition(".")[2]):
        return "norm"
    if _EMBEDDING.search(full) and not _UNEMBEDDING.search(full) and len(shape) <= 3:
        return "embedding"
    if len(shape) == 2 or _EXPERTS.search(full):
        return "linear"
    return "conv" if len(shape) <= 5 else "other"
