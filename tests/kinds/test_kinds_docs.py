"""`docs/kinds.md` names every kind and every option, and its code runs."""

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


@pytest.mark.parametrize("method", kinds.METHODS)
def test_every_method_and_its_options_are_explained(method):
    text = section("Sparse")
    assert f"| `{method}` |" in text
    assert [option for option in kinds.METHODS[method].options if f"`{option}" not in text] == []
    assert kinds.METHODS[method].paper in text


def test_the_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known: dict = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(block, "docs/kinds.md", "exec"), known)
    assert known["controller"].kind == "sparse"
    assert known["fresh"][0].out_features == 32
