"""How packed weights are held in memory: what each kernel reads, and what torch alone can decode."""

from weightsmith.kinds.packed.forms.form import Floats, Form, Geometry, array, floats, optional_floats, tensor
from weightsmith.kinds.packed.forms.stored import part_names
from weightsmith.kinds.packed.forms.table import FORMS, fast_forms, form_on, plain_form

__all__ = [
    "FORMS",
    "Floats",
    "Form",
    "Geometry",
    "array",
    "fast_forms",
    "floats",
    "form_on",
    "optional_floats",
    "part_names",
    "plain_form",
    "tensor",
]
