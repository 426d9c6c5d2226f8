"""All resident forms by name, and which of them a packed weight takes."""

from torch import device

from weightsmith.kinds.packed.forms.bits import Bits, Planes
from weightsmith.kinds.packed.forms.coordinates import Coordinates
from weightsmith.kinds.packed.forms.form import Form
from weightsmith.kinds.packed.forms.stored import Stored
from weightsmith.packing import Layout

FORMS: dict[str, Form] = {form.name: form for form in (Bits("signs"), Bits("bits"), Planes(), Coordinates(), Stored())}


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


def fast_forms(layout: Layout, activations: str = "float32") -> list[str]:
    """The forms that a kernel reads for such a weight, the usual one first; the plain one where there is no kernel."""
    return [plain_form(layout)]
