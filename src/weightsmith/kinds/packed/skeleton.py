"""What a file says of the layers it holds, and building them from a model's own: only classes of the table below."""

import json
from collections.abc import Mapping
from typing import Any, Final, get_args

import torch
from torch import Tensor, nn

from weightsmith.errors import InputError, SourceError
from weightsmith.kinds.binary import BinaryActivation
from weightsmith.kinds.packed.binary_conv2d import BinaryConv2d
from weightsmith.kinds.packed.binary_linear import BinaryLinear
from weightsmith.kinds.packed.candidates import stands_as
from weightsmith.kinds.packed.convolution import arguments
from weightsmith.kinds.packed.folding import NORMS, FoldedNorm
from weightsmith.kinds.packed.forms import fast_forms, tensor
from weightsmith.kinds.packed.handed_signs import HandedSigns
from weightsmith.kinds.packed.layer import Layer
from weightsmith.kinds.packed.plan import build_xnor
from weightsmith.kinds.packed.sign_pool import SignPool2d, window
from weightsmith.kinds.packed.sparse_conv2d import SparseConv2d
from weightsmith.kinds.packed.sparse_linear import SparseLinear
from weightsmith.kinds.packed.ternary_linear import TernaryLinear
from weightsmith.kinds.packed.weight import PackedWeight
from weightsmith.kinds.packed.xnor import Gives, XnorLayer
from weightsmith.kinds.packed.xnor_conv2d import XnorConv2d
from weightsmith.kinds.packed.xnor_linear import XnorLinear
from weightsmith.names import printable
from weightsmith.packing import Array, Encoded, decode

METADATA: Final = "weightsmith.layers"
"""Key of a file's metadata under which the layers lie, as JSON: a class of `CLASSES` and its options by module path."""

CLASSES: Final[dict[str, tuple[type[nn.Module], ...]]] = {
    BinaryLinear.__name__: (nn.Linear,),
    TernaryLinear.__name__: (nn.Linear,),
    SparseLinear.__name__: (nn.Linear,),
    BinaryConv2d.__name__: (nn.Conv2d,),
    SparseConv2d.__name__: (nn.Conv2d,),
    XnorLinear.__name__: (nn.Linear,),
    XnorConv2d.__name__: (nn.Conv2d,),
    FoldedNorm.__name__: NORMS,
    HandedSigns.__name__: (BinaryActivation,),
    SignPool2d.__name__: (nn.MaxPool2d,),
}
"""What a file may ask for, and which modules of the model it may stand for."""

_OURS: Final[dict[str, type[nn.Module]]] = {
    layer.__name__: layer
    for layer in (
        BinaryLinear,
        TernaryLinear,
        SparseLinear,
        BinaryConv2d,
        SparseConv2d,
        XnorLinear,
        XnorConv2d,
        FoldedNorm,
        HandedSigns,
        SignPool2d,
    )
}

Entries = Mapping[str, Encoded | Array]


def describe_layers(model: nn.Module) -> str:
    """The layers of a packed model, for the metadata of its file."""
    found: dict[str, dict[str, str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, XnorLayer):
            channels = str(module.channels) if isinstance(module, XnorLinear) else "0"
            found[path] = {"layer": type(module).__name__, "gives": module.gives, "channels": channels}
        elif isinstance(module, Layer):
            found[path] = {"layer": type(module).__name__, "form": module.weight.fast}
        elif type(module).__name__ in CLASSES and type(module) is _OURS[type(module).__name__]:
            found[path] = {"layer": type(module).__name__}
    return json.dumps(found, separators=(",", ":"))


def parse_layers(text: str) -> dict[str, dict[str, str]]:
    """Undo `describe_layers`.

    Raises:
        SourceError: it is no such JSON, or names a class that is not in `CLASSES`.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"its {METADATA} metadata is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise SourceError(f"its {METADATA} metadata is no table of layers")
    for path, options in found.items():
        shown = printable(path[:200])
        if not isinstance(options, dict) or not all(isinstance(value, str) for value in options.values()):
            raise SourceError(f"its {METADATA} metadata describes '{shown}' by something else than text")
        if options.get("layer") not in CLASSES:
            raise SourceError(
                f"'{shown}' is of the class {printable(str(options.get('layer'))[:40])}, which is none of ours"
            )
    return found


def stand_in(path: str, module: nn.Module | None, options: Mapping[str, str]) -> type[nn.Module]:
    """The class that a file asks for, if the model's module can give its place to it.

    Raises:
        InputError: the model has no such module, or one of another class.
    """
    name = options["layer"]
    wanted = CLASSES[name]
    if module is None or stands_as(module) not in wanted:
        has = "no such module" if module is None else f"a {type(module).__name__} there"
        raise InputError(
            f"'{printable(path[:200])}' is a {name} in the file, for a {wanted[0].__name__}, and the model has {has}"
        )
    return _OURS[name]


def build_passing(module: nn.Module, flip: Tensor | None) -> nn.Module:
    """What stands for a norm, a pool or an activation; `flip` is the file's, of the channels that they turn around."""
    if isinstance(module, BinaryActivation):
        return HandedSigns(module).eval()
    if isinstance(module, nn.MaxPool2d):
        return SignPool2d(*window(module), flip).eval()
    assert isinstance(module, NORMS)
    return FoldedNorm(module.num_features, 2 if isinstance(module, nn.BatchNorm1d) else 4, module.eps, flip).eval()


def build_layer(
    layer: type[Layer],
    module: nn.Module,
    options: Mapping[str, str],
    weight: Encoded | PackedWeight,
    bias: Tensor | None,
) -> Layer:
    """A packed layer with the geometry of the model's own; thresholds are left to be filled in.

    Raises:
        SourceError: options that no layer has.
    """
    if issubclass(layer, XnorLayer):
        assert isinstance(weight, Encoded)
        gives, channels = options.get("gives", ""), options.get("channels", "0")
        if gives not in get_args(Gives) or not channels.isdecimal():
            raise SourceError(f"its {METADATA} metadata has a {layer.__name__} with options that it does not know")
        rows = weight.shape[0]
        given: dict[str, Any] = {"gives": gives}
        if gives != "floats":
            given |= {"threshold": torch.zeros(rows, dtype=torch.int32)}
            given |= {"slope": torch.zeros(rows), "offset": torch.zeros(rows)}
        if layer is XnorLinear:
            given["channels"] = int(channels[:9])
        return build_xnor(module, weight, bias, **given).eval()
    if isinstance(weight, Encoded):
        ways = fast_forms(weight)
        asked = options.get("form", "")
        weight = PackedWeight(weight, asked if asked in (*ways, *fast_forms(weight, "int8")) else ways[0])
    given = arguments(module) if isinstance(module, nn.Conv2d) else {}
    return layer(weight, bias, **given).eval()


def below(path: str, name: str) -> str:
    """The dotted name of what a module of that path has under a name."""
    return f"{path}.{name}" if path else name


def check_shape(name: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape than the model's.

    Raises:
        InputError: with its name and both shapes.
    """
    if tuple(found) != tuple(wanted):
        raise InputError(
            f"'{printable(name[:200])}' is {list(found)} in the file and {list(wanted)} in the model: "
            "give the model that was packed"
        )


def as_tensor(entry: Encoded | Array) -> Tensor:
    """What an entry holds as a tensor of its own type; of a packed weight float32."""
    return tensor(decode(entry) if isinstance(entry, Encoded) else entry)
