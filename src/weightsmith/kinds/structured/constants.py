"""Channels that are one constant, whatever the input: what they are worth at each step of a model."""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from weightsmith.kinds.graph import Graph, Node
from weightsmith.kinds.structured.cuts import outputs_first
from weightsmith.kinds.structured.spaces import Spaces
from weightsmith.kinds.structured.steps import READS, constant_after


def constants_of(graph: Graph, spaces: Spaces) -> dict[Node, Tensor]:
    """Of each step with channels the constant of each channel, `(channels,)`; NaN where there is none."""
    found: dict[Node, Tensor] = {}
    for node in graph.nodes:
        value = spaces.values[node]
        if value.space is None:
            continue
        module = node.module
        if isinstance(module, (nn.Linear, _ConvNd)):
            found[node] = _of_layer(module)
        else:
            inputs = [found.get(before) for before in node.inputs if before.function not in READS]
            known = [each for each in inputs if each is not None]
            if len(known) == len(inputs):
                found[node] = constant_after(node, known, value.space.root().size)
    return found


def _of_layer(module: nn.Linear | _ConvNd) -> Tensor:
    """The bias where all weights of an output are 0."""
    weight = outputs_first(module)
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach()
    return torch.where((weight == 0).flatten(1).all(1), bias, torch.nan)
