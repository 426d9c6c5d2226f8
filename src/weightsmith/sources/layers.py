"""What the weights of a file tell about each other: gates, fused projections, batch norms, orientation, tying.

A name and a shape say little alone; beside its siblings (`weight_hh` beside `weight_ih`, `running_mean` beside
`weight`) the same weight says which layer it belongs to and what is stacked in it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from weightsmith.sources.config import ModelConfig
from weightsmith.sources.roles import infer_role
from weightsmith.sources.source import Source
from weightsmith.weight import WeightInfo

_GATES: Final = {1: ("RNN", ()), 3: ("GRU", ("r", "z", "n")), 4: ("LSTM", ("i", "f", "g", "o"))}
"""Layer and gates by their number, in the order in which PyTorch stacks them (torch.nn.LSTM, torch.nn.GRU)."""

_RECURRENT = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?")

_FUSED = re.compile(r"c_attn|qkv|qkv_proj|attn_qkv|to_qkv|Wqkv|W_pack|in_proj")
"""Modules that compute queries, keys and values at once, one after the other.

`query_key_value` (GPT-NeoX, BLOOM, Falcon) is none of them: it takes turns head by head, so its thirds are a mixture.
"""

_INTERLEAVED: Final = frozenset({"codegen", "gpt_bigcode", "gpt_neox", "bloom", "falcon", "persimmon", "fuyu"})
"""Families that stack queries, keys and values by head or by group of heads, whatever the module's name."""

_CONV1D_FAMILIES: Final = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
_CONV1D = re.compile(r"c_attn|q_attn|c_fc|c_proj")
"""Modules that Transformers' `Conv1D` implements in these families: linear layers that keep (inputs, outputs)."""

_INPUT_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|shared)\.weight$")
_OUTPUT_EMBEDDING = re.compile(r"(^|\.)(lm_head|embed_out|output)\.weight$|^cls\.predictions\.decoder\.weight$")

_QKV: Final = ("q", "k", "v")


def infer_layers(infos: Sequence[WeightInfo], config: ModelConfig | None = None) -> list[WeightInfo]:
    """Complete the descriptions of all weights of a file by what they tell about each other.

    Filled in are the roles of batch norms' statistics, the gates of recurrent weights, the thirds of fused query, key
    and value projections where they are equal and contiguous, the axis that counts outputs where a bias or the family
    shows that it is not the first, and ties that the configuration states. What a reader found out already stays.

    Args:
        infos: the weights in the order of the file.
        config: the model's configuration, where there is one.
    """
    known = {info.name: info for info in infos}
    config = config or ModelConfig()
    conv1d = config.model_type in _CONV1D_FAMILIES or any(_is_wide_attention(info, known) for info in infos)
    found = {info.name: _completed(info, known, conv1d=conv1d) for info in infos}
    for name, info in found.items():
        if not info.parts and (parts := _shares(info, found, config)):
            found[name] = replace(info, parts=parts)
    return _tied(list(found.values())) if config.tied else list(found.values())


def with_layers(source: Source, config: ModelConfig | None = None) -> Source:
    """The same source with its weights' descriptions completed by `infer_layers`, unless its reader knows layers."""
    from weightsmith.sources.formats import FORMATS

    known = FORMATS.get(source.file_format)
    if known is None or known.knows_layers:
        return source
    return with_infos(source, infer_layers(source.infos, config))


def with_infos(source: Source, infos: Sequence[WeightInfo]) -> Source:
    """The same source with other descriptions of its weights, one for each and in the same order."""
    weights = [replace(weight, info=info) for weight, info in zip(source.values(), infos, strict=True)]
    return Source(
        source.label,
        weights,
        source.metadata,
        file_format=source.file_format,
        aside=source.aside,
        files=source.files,
    )


def _completed(info: WeightInfo, known: Mapping[str, WeightInfo], *, conv1d: bool) -> WeightInfo:
    if info.layer is not None or info.role != infer_role(info.name, info.shape):
        return info  # the reader knew better
    _, leaf = _split(info.name)
    if _sibling(info, "running_mean", known) and _sibling(info, "running_var", known):
        return replace(info, layer="BatchNorm", role="norm" if leaf == "weight" else info.role)
    recurrent = _RECURRENT.fullmatch(leaf)
    if recurrent:
        return _with_gates(info, recurrent, known)
    return _oriented(info, known, conv1d=conv1d)


def _with_gates(info: WeightInfo, name: "re.Match[str]", known: Mapping[str, WeightInfo]) -> WeightInfo:
    """Layer and gates by the shape (gates * hidden, hidden) of `weight_hh`; `weight_hr` tells `hidden` first."""
    suffix = name[3] or ""
    hidden_to_hidden = _sibling(info, f"weight_hh{suffix}", known)
    projection = _sibling(info, f"weight_hr{suffix}", known)
    measured = projection or hidden_to_hidden
    if hidden_to_hidden is None or measured is None or len(hidden_to_hidden.shape) != 2 or len(measured.shape) != 2:
        return info
    rows, hidden = hidden_to_hidden.shape[0], measured.shape[1]
    if not hidden or rows % hidden or rows // hidden not in _GATES:
        return info
    layer, gates = _GATES[rows // hidden]
    stacked = name[2] != "hr" and info.shape[:1] == (rows,)
    return replace(info, layer=layer, parts=gates if stacked else ())


def _oriented(info: WeightInfo, known: Mapping[str, WeightInfo], *, conv1d: bool) -> WeightInfo:
    """The axis of the outputs: as long as the bias beside it, last for a JAX-style kernel, second for a Conv1D."""
    path, leaf = _split(info.name)
    if info.role not in ("linear", "conv") or len(info.shape) < 2 or leaf not in ("weight", "kernel"):
        return info
    if leaf == "kernel":
        return replace(info, output_axis=len(info.shape) - 1)
    if conv1d and len(info.shape) == 2 and _CONV1D.fullmatch(_split(path)[1]):
        return replace(info, output_axis=1, layer="Conv1D")
    bias = _sibling(info, "bias", known)
    if bias is not None and len(bias.shape) == 1 and info.shape[0] != bias.shape[0] == info.shape[1]:
        return replace(info, output_axis=1)
    return info


def _is_wide_attention(info: WeightInfo, known: Mapping[str, WeightInfo]) -> bool:
    """Whether this is GPT-2's `c_attn` as (inputs, 3 * inputs); nanoGPT's of the same name is (3 * inputs, inputs)."""
    path, leaf = _split(info.name)
    wide = len(info.shape) == 2 and info.shape[1] == 3 * info.shape[0] > 0
    return wide and leaf == "weight" and _split(path)[1] == "c_attn" and _sibling(info, "bias", known) is not None


def _shares(info: WeightInfo, known: Mapping[str, WeightInfo], config: ModelConfig) -> tuple[str, ...]:
    """What a fused projection, or the bias beside it, stacks in equal shares; () where that is not certain."""
    if not config.equal_shares or config.model_type in _INTERLEAVED:
        return ()  # grouped queries take more space than their keys and values
    path, leaf = _split(info.name)
    if leaf in ("in_proj_weight", "in_proj_bias"):
        weight = info if leaf == "in_proj_weight" else _sibling(info, "in_proj_weight", known)
    elif leaf in ("weight", "bias") and _FUSED.fullmatch(_split(path)[1]):
        weight = info if leaf == "weight" else _sibling(info, "weight", known)
    else:
        return ()
    if weight is None or weight.role != "linear" or len(weight.shape) != 2:
        return ()
    outputs, inputs = weight.shape[weight.output_axis], weight.shape[1 - weight.output_axis]
    attention = config.heads * config.head_dim if config.heads and config.head_dim else inputs
    fits = outputs == 3 * attention > 0 and (info is weight or info.shape == (outputs,))
    return _QKV if fits else ()


def _tied(infos: Sequence[WeightInfo]) -> list[WeightInfo]:
    """Tie the output embedding and the input embedding of the same shape; the later one names the earlier."""
    inputs = [info for info in infos if _INPUT_EMBEDDING.search(info.name) and len(info.shape) == 2]
    outputs = [info for info in infos if _OUTPUT_EMBEDDING.search(info.name)]
    shape = inputs[0].shape if inputs else None
    pair = [info for info in infos if info in (*inputs[:1], *outputs) and info.shape == shape]
    if len(pair) < 2:
        return list(infos)
    return [replace(info, tied_to=info.tied_to or pair[0].name) if info in pair[1:] else info for info in infos]


def _sibling(info: WeightInfo, leaf: str, known: Mapping[str, WeightInfo]) -> WeightInfo | None:
    own = _split(info.name)[1]
    return known.get(info.name[: len(info.name) - len(own)] + leaf)


def _split(name: str) -> tuple[str, str]:
    """A name's module and its own last part, at the last dot or slash."""
    cut = max(name.rfind("."), name.rfind("/"))
    return name[: max(cut, 0)], name[cut + 1 :]
