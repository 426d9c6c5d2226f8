"""`docs/recipe.md` names every field, option, model and built-in set, and its examples are recipes."""

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from weightsmith.optim import OPTIMIZERS, SCHEDULES
from weightsmith.train.models import MODELS
from weightsmith.train.models.options import Activation
from weightsmith.train.models.table import options_of
from weightsmith.train.recipe import Recipe
from weightsmith.train.recipe.names import BUILT_IN_DATA
from weightsmith.train.recipe.text import parse

TEXT = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def paths(part: type[BaseModel], path: str = ""):
    for name, field in part.model_fields.items():
        yield f"{path}{name}"
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from paths(kind, f"{path}{name}.")


@pytest.mark.parametrize("path", list(paths(Recipe)))
def test_every_field_is_in_the_reference(path):
    assert f"`{path}`" in TEXT


@pytest.mark.parametrize("name", MODELS)
def test_every_model_and_option_is_in_the_reference(name):
    row = next(line for line in TEXT.split("\n") if line.startswith(f"| `{name}` | "))
    for option, (_, default) in options_of(MODELS[name]).items():
        shown = f"{default:g}" if isinstance(default, float) else default
        assert f"`{option}: {shown}`" in row


@pytest.mark.parametrize("name", [*BUILT_IN_DATA, *get_args(Activation), *OPTIMIZERS, *SCHEDULES])
def test_every_name_is_in_the_reference(name):
    assert f"`{name}`" in TEXT


def test_the_examples_are_recipes_and_the_last_is_the_default():
    for example in EXAMPLES:
        Recipe.from_dict(parse(example, "example"))
    assert EXAMPLES[-1] == Recipe().to_yaml()
