"""Options checked against the types that somebody else's signature gives them."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from weightsmith.train.recipe.complaints import lines, unknown_field
from weightsmith.train.recipe.fields import Part

Fields = Mapping[str, tuple[Any, Any]]
"""Option -> its type and its default; `...` where it must be given."""


def options_class(known: Fields) -> type[BaseModel]:
    """A class with one checked field for each option."""
    fields: dict[str, Any] = dict(known)
    return create_model("Options", __base__=Part, **fields)


def wrong_options(path: str, known: Fields, given: Mapping[str, Any]) -> list[str]:
    """One line for each option that is unknown, missing or of the wrong type.

    Args:
        path: of the part in the recipe.
        known: the options there are.
        given: the options given; null counts as not given.
    """
    unknown = [unknown_field(path, name, list(known)) for name in given if name not in known]
    options = options_class(known)
    try:
        options(**{name: value for name, value in given.items() if name in known and value is not None})
    except ValidationError as error:
        return [*unknown, *(f"{path}.{line}" for line in lines(error, options))]
    return unknown
