"""`docs/kinds.md` names every kind and every option of binary, ternary and continuous weights, and its code runs."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from weightsmith import kinds
from weightsmith.kinds.binary.settings import WeightEstimator

TEXT = (Path(__file__).parents[2] / "docs" / "kinds.md").read_text()


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL).group(1)


@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_kind_is_listed(name):
    assert f"| `{name}` |" in TEXT
    assert f"\n## {name.capitalize()}\n" in TEXT


@pytest.mark.parametrize(
    ("name", "settings"),
    [("Binary", kinds.Binarization), ("Ternary", kinds.Ternarization), ("Continuous", kinds.Projection)],
)
def test_every_option_is_explained(name, settings):
    text = section(name)
    assert [field.name for field in fields(settings) if f"`{field.name}" not in text] == []


@pytest.mark.parametrize("name", get_args(WeightEstimator))
def test_every_estimator_has_its_formula(name):
    assert f"| `{name}` |" in section("Binary")


def test_the_code_runs():
    known: dict = {}
    for block in re.findall(r"```python\n(.*?)```", section("Binary"), re.DOTALL):
        exec(compile(block, "docs/kinds.md", "exec"), known)
    assert known["controller"].kind == "binary"
