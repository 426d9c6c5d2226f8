"""What "auto" chooses for each weight, by its role, its layer and the activation that follows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from weightsmith.init.blocks import gates
from weightsmith.init.gains import ACTIVATIONS, preserving_gain
from weightsmith.init.propagation import Following
from weightsmith.init.schemes import SCHEMES, Scheme
from weightsmith.weight import WeightInfo


@dataclass(frozen=True)
class Slot:
    """One weight and where it sits.

    Attributes:
        info: its description.
        owner: the module that holds it.
        tensor: its values of the moment.
        following: the activation after its layer, None where unknown.
        shared_with: roles of the weights tied to it.
    """

    info: WeightInfo
    owner: nn.Module
    tensor: Tensor
    following: Following | None
    shared_with: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The weight's name in its module."""
        return self.info.name.rpartition(".")[2]


@dataclass(frozen=True)
class Choice:
    """A scheme with its options and the reason for it; no scheme leaves the weight as it is."""

    scheme: Scheme | None
    options: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


def choose_automatically(slot: Slot) -> Choice:
    """The scheme that fits the weight's place in the model."""
    if not slot.tensor.is_floating_point():
        return Choice(None, reason=f"{slot.info.dtype} values are not drawn")
    if slot.tensor.numel() == 0:
        return Choice(None, reason="it has no elements")
    match slot.info.role:
        case "bias":
            return choose_vector(slot)
        case "norm":
            return choose_vector(slot)
        case "embedding":
            return _embedding(slot)
        case "recurrent":
            return _recurrent(slot)
        case "linear" | "conv" if slot.tensor.dim() > 1:
            return _matrix(slot)
        case _:
            layer = slot.info.layer or "its module"
            return Choice(None, reason=f"what {layer} does with it is unknown; name it in a mapping")


def choose_vector(slot: Slot) -> Choice:
    """Biases start at zero and norms at one; an LSTM's forget gate starts open."""
    if slot.info.role == "norm":
        return Choice(SCHEMES["ones"], reason=f"scale of {slot.info.layer}")
    if opens_forget_gate(slot):
        return Choice(SCHEMES["zeros"], reason="bias; forget gate at 1 (Jozefowicz et al. 2015)")
    return Choice(SCHEMES["zeros"], reason="bias")


def opens_forget_gate(slot: Slot) -> bool:
    """Whether this is the one of an LSTM's two biases that takes the forget gate's 1."""
    return gates(slot.owner) == 4 and slot.attribute.startswith("bias_ih")


def _embedding(slot: Slot) -> Choice:
    if "linear" in slot.shared_with:
        std = 1 / math.sqrt(slot.tensor.size(-1))
        return Choice(SCHEMES["normal"], {"std": std}, "embedding that is also the output layer: logits of variance 1")
    return Choice(SCHEMES["normal"], {"std": 1.0}, "embedding: rows of variance 1, as the next layer expects")


def _recurrent(slot: Slot) -> Choice:
    each = f" for each of {gates(slot.owner)} gates" if gates(slot.owner) > 1 else ""
    if slot.tensor.dim() < 2:
        return choose_vector(slot)
    if slot.attribute.startswith("weight_hh"):
        return Choice(SCHEMES["orthogonal"], reason=f"hidden to hidden{each}: keeps the state's length over time")
    step = "projection of the state" if slot.attribute.startswith("weight_hr") else "input to hidden"
    return Choice(SCHEMES["xavier_uniform"], reason=f"{step}{each}")


def _matrix(slot: Slot) -> Choice:
    if isinstance(slot.owner, nn.MultiheadAttention):
        return Choice(SCHEMES["xavier_uniform"], reason="attention projection: queries, keys and values apart")
    following = slot.following
    if following is None:
        return Choice(
            SCHEMES["xavier_uniform"], reason="the activation after it is unknown (a `sample` may tell): middle way"
        )
    activation = ACTIVATIONS.get(following.name)
    if activation is None or activation.family == "linear":
        after = "no activation" if following.name == "linear" else following.name
        return Choice(SCHEMES["xavier_uniform"], reason=f"followed by {after}")
    if activation.family == "self_normalizing":
        return Choice(SCHEMES["lecun_normal"], reason=f"followed by {following.name} (Klambauer et al. 2017)")
    if activation.family == "saturating":
        gain = preserving_gain(following.name)
        return Choice(SCHEMES["xavier_uniform"], {"gain": gain}, f"followed by {following.name}")
    return _he(following, activation.parameter)


def _he(following: Following, default: float | None) -> Choice:
    parameter = following.parameter if following.parameter is not None else default
    name = following.name
    if parameter is None:
        return Choice(SCHEMES["he_normal"], {"nonlinearity": name}, f"followed by {name}")
    if name in ("prelu", "rrelu"):
        name = "leaky_relu"
    reason = f"followed by {following.name}({parameter:g})"
    return Choice(SCHEMES["he_normal"], {"nonlinearity": name, "a": parameter}, reason)
