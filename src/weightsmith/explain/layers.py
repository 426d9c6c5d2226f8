"""Finding a layer of a model by its name."""

from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import printable, suggestion


def find_layer(model: nn.Module, name: str) -> tuple[str, nn.Module]:
    """The layer of that dotted name; the empty name is the model itself.

    Raises:
        InputError: there is none.
    """
    layers = dict(model.named_modules())
    if name not in layers:
        close = suggestion(name, layers)
        some = ", ".join([printable(layer) for layer in layers if layer][:12])
        raise InputError(f"the model has no layer '{printable(name)}'{close or f'; it has {some or None}'}")
    return name, layers[name]
