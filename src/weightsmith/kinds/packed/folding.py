"""Batch norm after a packed layer, folded into the layer's scale and bias."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError
from weightsmith.kinds.graph import Graph, Node
from weightsmith.packing import Array, Encoded, decode, encode

TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout)
"""Modules that change nothing when a model is not training."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


class FoldedNorm(nn.Module):
    """What stands where a batch norm was, now that the layer before it computes it; gives its input.

    Args:
        features: channels of the norm.
        dimensions: of its input.
        eps: of the norm.
        flip: bool[features], where the norm's slope was negative, if the layer before compares with thresholds and
            gives the signs of what the norm gave; else None.
    """

    flip: Tensor | None

    def __init__(self, features: int, dimensions: int, eps: float, flip: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("flip", flip)
        self.features = features
        self.dimensions = dimensions
        self.eps = eps

    def forward(self, inputs: Tensor) -> Tensor:
        """The input."""
        if inputs.dim() != self.dimensions:
            raise InputError(
                f"a batch norm was folded for inputs of {self.dimensions} dimensions, and these have {inputs.dim()}: "
                "pack with a sample of them"
            )
        return inputs

    def dense(self) -> nn.Module:
        """A batch norm that changes nothing, or only signs."""
        norm = (
            nn.BatchNorm1d(self.features, self.eps) if self.dimensions == 2 else nn.BatchNorm2d(self.features, self.eps)
        )
        assert norm.running_var is not None
        norm.running_var.fill_(1 - self.eps)
        if self.flip is not None:
            norm.weight = nn.Parameter(torch.where(self.flip, -1.0, 1.0))
        return norm.eval()

    def extra_repr(self) -> str:
        """Channels, for printed models."""
        return str(self.features)


@dataclass(frozen=True)
class Affine:
    """What a batch norm does in evaluation: `slope * x + offset` for each channel: float32, as torch rounds."""

    slope: Tensor
    offset: Tensor


def affine(norm: nn.Module) -> Affine:
    """What a batch norm with running statistics does."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    slope = (norm.running_var.float() + norm.eps).sqrt().reciprocal()
    slope = slope if norm.weight is None else slope * norm.weight.float()
    offset = -norm.running_mean.float() * slope
    offset = offset if norm.bias is None else norm.bias.float() + offset
    return Affine(slope.detach().cpu(), offset.detach().cpu())


def norm_after(graph: Graph, path: str) -> Node | None:
    """The batch norm that alone sees what a layer gives, and nothing else; None where there is none."""
    node = graph.only_call(path)
    if node is None:
        return None
    for after in graph.chain(node):
        if isinstance(after.module, TRANSPARENT):
            continue
        return after if foldable(graph, after, node) else None
    return None


def foldable(graph: Graph, node: Node, layer: Node) -> bool:
    """Whether a step is a batch norm, called once, over the outputs of a layer."""
    norm = node.module
    if not isinstance(norm, NORMS) or graph.only_call(node.path) is None or norm.running_mean is None:
        return False
    weight = getattr(layer.module, "weight", None)
    hooked = norm._forward_hooks or norm._forward_pre_hooks
    return isinstance(weight, Tensor) and norm.num_features == weight.shape[0] and not hooked


def fold(encoded: Encoded, bias: Tensor | None, by: Affine) -> tuple[Encoded, Tensor]:
    """The weight and bias of a layer that computes the batch norm behind it too.

    Scales take the slope; where there are none, the values do.

    Returns:
        The weight, and a bias float32[outputs].
    """
    offset = by.offset if bias is None else by.offset + bias.detach().float().cpu() * by.slope
    slope: Array = by.slope.numpy()
    if "values" in encoded.tensors:
        values = decode(encoded).reshape(encoded.matrix) * slope[:, None]
        folded = encode(values.astype("float32").reshape(encoded.shape), encoded.format, values="float32")
    else:
        scale = encoded.tensors.get("scale", 1.0) * slope
        folded = replace(encoded, tensors={**encoded.tensors, "scale": scale.astype("float32")})
    return folded, offset.float()
