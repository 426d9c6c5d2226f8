"""The role of a weight from its name and shape alone, for files that say nothing about layers."""

import re
from collections.abc import Sequence

from weightsmith.weight import Role

_WRAPPING = re.compile(r"(^|\.)parametrizations\.|\.original\d*$")
"""What `torch.nn.utils.parametrize` wraps around a parameter's plain name in a state dict."""

_BIAS = re.compile(r"(^|_)(bias|biases|beta)(_|$)")
_STATISTIC = re.compile(r"running_|num_batches_tracked|moving_|^inv_freq$")
_NORM_LAYER = re.compile(r"(^|[._])((layer|batch|group|instance|rms)?norm|ln|bn|gn)[a-z]?\d*($|[._])")
_NORM_NAME = re.compile(r"^(gamma|scale|g)$")
_EMBEDDING = re.compile(r"(?<!un)emb(ed|edd|eddings?|edder)?($|[\d._])|(^|[._])(wte|wpe|cls_token|mask_token)($|[._])")
_UNEMBEDDING = re.compile(r"unembed|embed_out|proj")
_RECURRENT_NAME = re.compile(r"weight_(ih|hh|hr)|recurrent_kernel")
_RECURRENT_LAYER = re.compile(r"(^|[._])(lstm|gru|rnn)[a-z]*\d*($|[._])")
_MAGNITUDE = re.compile(r"^weight_g$|^original0$")


def infer_role(name: str, shape: Sequence[int]) -> Role:
    """The most likely role of a tensor in a file.

    Names decide first (`bias`, `bn1`, `embed_tokens`, `weight_hh_l0`), then the number of dimensions: a lone vector
    called `weight` scales a norm, a matrix is linear, three to five dimensions are a convolution.

    Args:
        name: dotted name, as a state dict spells it.
        shape: its dimensions.

    Returns:
        The role; `other` for statistics, scalars and whatever no rule covers.
    """
    path, _, last = _WRAPPING.sub(lambda match: match[1] or "", name).lower().rpartition(".")
    if _STATISTIC.search(last) or _MAGNITUDE.search(last):
        return "other"
    if _BIAS.search(last):
        return "bias"
    return _vector_role(path, last) if len(shape) < 2 else _matrix_role(path, last, shape)


def _vector_role(path: str, last: str) -> Role:
    if _EMBEDDING.search(last):
        return "embedding"
    scales = _NORM_LAYER.search(path) or _NORM_NAME.search(last) or _NORM_LAYER.search(last)
    activation = re.search(r"(^|[._])(prelu|act)", path)
    return "norm" if scales or (last == "weight" and not activation) else "other"


def _matrix_role(path: str, last: str, shape: Sequence[int]) -> Role:
    full = f"{path}.{last}"
    if _RECURRENT_NAME.search(last) or (_RECURRENT_LAYER.search(path) and len(shape) == 2):
        return "recurrent"
    if _EMBEDDING.search(full) and not _UNEMBEDDING.search(full) and len(shape) <= 3:
        return "embedding"
    if len(shape) == 2 or "expert" in path:
        return "linear"
    return "conv" if len(shape) <= 5 else "other"
