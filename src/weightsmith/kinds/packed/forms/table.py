"""All resident forms by name, and which of them a packed weight takes."""

import numpy as np
from torch import device

from weightsmith.kinds.packed.forms.bits import Bits, Planes
from weightsmith.kinds.packed.forms.coordinates import Coordinates
from weightsmith.kinds.packed.forms.form import Form
from weightsmith.kinds.packed.forms.sparse import Sparse
from weightsmith.kinds.packed.forms.stored import Stored
from weightsmith.kinds.packed.forms.tiles import PlaneTiles, Tiles
from weightsmith.kinds.packed.forms.words import Words
from weightsmith.packing import Encoded, Layout

FORMS: dict[str, Form] = {
    form.name: form
    for form in (
        Bits("signs"),
        Bits("bits"),
        Planes(),
        Coordinates(),
        Stored(),
        Tiles("signs"),
        Tiles("bits"),
        Tiles("signs", rounded=True),
        Tiles("bits", rounded=True),
        PlaneTiles(),
        Words("signs"),
        Words("bits"),
        Sparse("csr"),
        Sparse("bitmask"),
        Sparse("signs"),
    )
}


def plain_form(layout: Layout) -> str:
    """The form of such a weight that torch decodes on any device."""
    if layout.format == "binary":
        return f"bits of {layout.alphabet}"
    return "planes" if layout.format == "ternary" else "coordinates"


def form_on(place: device, layout: Layout, fast: str) -> str:
    """The form to hold on a device: the kernel's on the CPU, the stored one without values, else the plain one."""
    if place.type == "meta":
        return "stored"
    return fast if place.type == "cpu" else plain_form(layout)


def fast_forms(encoded: Encoded, activations: str = "float32") -> list[str]:
    """The forms in which kernels read such a weight, the likeliest first; the plain one where there is no kernel."""
    layout = encoded.layout
    convolution = len(layout.shape) == 4
    if layout.format == "binary":
        rounded = activations == "int8" and not convolution
        return [f"tiles of {layout.alphabet}{', int8 inputs' if rounded else ''}"]
    if layout.format == "ternary":
        return ["planes" if convolution else "tiles of planes"]
    from weightsmith.kernels.sparse import candidates

    size = max(1, layout.size)
    ways = candidates(layout.shape, 1 - count_nonzero(encoded) / size) or ("csr",)
    return [f"sparse {way}" for way in ways if way != "signs" or encoded.values == "signs"]


def count_nonzero(encoded: Encoded) -> int:
    """How many values of a sparse weight are kept."""
    tensors = encoded.tensors
    if "values" in tensors:
        return tensors["values"].size
    if "mask" in tensors:
        return int(np.bitwise_count(tensors["mask"]).sum())
    return int((tensors["gaps"] < 255).sum()) if "gaps" in tensors else tensors["columns"].size
