"""One line for each mistake in a recipe: the field's path, what is allowed, what was given."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from weightsmith.names import printable, suggestion

_ALLOWED = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_type": "must be a mapping",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_long": "must have {max_length} items",
    "too_short": "must have {min_length} items",
}
_LONGEST = 60


def complaint(message: str) -> PydanticCustomError:
    """The error that a validator of the recipe raises; braces in the message are kept as they are."""
    return PydanticCustomError("complaint", "{message}", {"message": message})


def lines(error: ValidationError, recipe: type[BaseModel]) -> list[str]:
    """Every mistake that pydantic found in a `recipe`, as `optimizer.lr: must be above 0, got -1`, on one line each."""
    return [printable(_line(details, recipe)) for details in error.errors(include_url=False)]


def shown(given: Any) -> str:
    """A value as the recipe would write it, on one short line."""
    text = (
        {None: "null", True: "true", False: "false"}[given] if given is None or isinstance(given, bool) else repr(given)
    )
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def unknown_field(path: str, given: str, allowed: Sequence[str]) -> str:
    """The line for a key that nothing reads."""
    at = printable(f"{path}.{given}" if path else given)
    if not allowed:
        return f"{at}: unknown option: there are none"
    return f"{at}: unknown field: choose from {', '.join(allowed)}{suggestion(given, allowed)}"


def _line(details: ErrorDetails, recipe: type[BaseModel]) -> str:
    path = ".".join(str(step) for step in details["loc"])
    if details["type"] == "extra_forbidden":
        *place, given = details["loc"]
        return unknown_field(".".join(map(str, place)), str(given), list(_part(recipe, place).model_fields))
    context: Mapping[str, Any] = details.get("ctx", {})
    if details["type"] == "complaint":
        return f"{path}: {context['message']}" if path else str(context["message"])
    if details["type"] == "missing":
        return f"{path}: must be given"
    allowed = _ALLOWED.get(details["type"])
    assert allowed is not None, f"no line for pydantic's {details['type']}"
    if details["type"] == "model_type":
        allowed += f" {{{{{next(iter(_part(recipe, details['loc']).model_fields))}: ...}}}}"
    context = {name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()}
    close = ""
    if details["type"] == "literal_error" and isinstance(details["input"], str):
        close = suggestion(details["input"], re.findall(r"'(\w+)'", context["expected"]))
    return f"{path}: {allowed.format(**context)}, got {shown(details['input'])}{close}"


def _part(recipe: type[BaseModel], place: Sequence[int | str]) -> type[BaseModel]:
    """The class of the mapping at a path of keys."""
    part = recipe
    for step in place:
        annotation = part.model_fields[str(step)].annotation
        part = next(kind for kind in (annotation, *get_args(annotation)) if _is_part(kind))
    return part


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
