import sys

import pytest
import torch

from weightsmith.errors import InputError
from weightsmith.train.data import from_datasets
from weightsmith.train.models import build_model
from weightsmith.train.recipe import Recipe, load_recipe

CODE = """
from torch import nn

def build(input_shape, outputs, width=3, batch_norm=False):
    layers = [nn.Linear(input_shape[0], width), nn.Linear(width, outputs)]
    return nn.Sequential(*layers, *([nn.BatchNorm1d(outputs)] if batch_norm else []))

def anything(input_shape, outputs, **options):
    return nn.Linear(input_shape[0], outputs, **options)

def nothing(input_shape, outputs):
    return None

def fails(input_shape, outputs):
    raise KeyError("weights")

def lazy(input_shape, outputs):
    return nn.LazyLinear(outputs)

def narrow(input_shape, outputs):
    return nn.Linear(2, outputs)

def wide(input_shape, outputs):
    return nn.Linear(input_shape[0], outputs + 1)

def pair(input_shape, outputs):
    return nn.LSTM(input_shape[0], outputs)

def blind(outputs):
    return None

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(CODE)
    (tmp_path / "broken_nets.py").write_text("def build(:\n")
    (tmp_path / "needy_nets.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "raising_nets.py").write_text("raise RuntimeError('no\\ngood')\n")
    yield tmp_path
    for name in ("own_nets", "broken_nets", "needy_nets", "raising_nets"):
        sys.modules.pop(name, None)


def data():
    return from_datasets((torch.randn(30, 6), torch.arange(30) % 3))


def build(folder, name, **fields):
    options = fields.pop("options", {})
    return build_model(Recipe.from_dict({"model": {"name": name, "folder": str(folder), **options}, **fields}), data())


def test_a_function_of_the_users_own(folder):
    model = build(folder, "own_nets:build", options={"width": 7})
    assert model[0].weight.shape == (7, 6)
    assert len(build(folder, "own_nets:build", batch_norm=True)) == 3
    assert build(folder, "own_nets:anything", options={"bias": False}).bias is None
    assert str(folder) not in sys.path
    first, again = (build(folder, "own_nets:build", seed=3) for _ in range(2))
    assert torch.equal(first[0].weight, again[0].weight)


def test_lazy_layers_have_their_shapes_and_the_model_trains(folder):
    model = build(folder, "own_nets:lazy")
    assert model.weight.shape == (3, 6)
    assert model.training


def test_it_is_found_beside_the_recipe_wherever_one_works(folder, monkeypatch, tmp_path_factory):
    (folder / "recipe.yaml").write_text("model: own_nets:build\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    recipe = load_recipe(folder / "recipe.yaml")
    assert build_model(Recipe.from_dict(recipe.effective()), data())(torch.zeros(2, 6)).shape == (2, 3)


def test_without_a_folder_it_is_looked_up_here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert build_model(Recipe(model="own_nets:build"), data())


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("own_nest:build", {}, "model: 'own_nest' cannot be imported: ModuleNotFoundError: No module named 'own_nest'"),
        ("own_nets:biuld", {}, "model: module 'own_nets' holds no function 'biuld'; did you mean 'build'?"),
        ("own_nets:number", {}, "model: module 'own_nets' holds no function but a value called 'number'"),
        ("broken_nets:build", {}, "model: 'broken_nets' cannot be imported: SyntaxError: "),
        ("needy_nets:build", {}, "model: 'needy_nets' cannot be imported: ModuleNotFoundError: No module named 'a_mod"),
        ("raising_nets:build", {}, "model: 'raising_nets' cannot be imported: RuntimeError: no good"),
        ("own_nets:nothing", {}, "model: own_nets:nothing must return a torch.nn.Module, but returned NoneType"),
        ("own_nets:fails", {}, "model: own_nets:fails failed: KeyError: 'weights'"),
        ("own_nets:blind", {}, "input_shape: own_nets:blind does not take it, only outputs"),
        (
            "own_nets:build",
            {"options": {"widht": 3}},
            "model.widht: own_nets:build does not take it, only input_shape,",
        ),
        ("own_nets:anything", {"options": {"bais": 3}}, "model: own_nets:anything failed: TypeError: "),
        ("own_nets:narrow", {}, "model: own_nets:narrow cannot read rows of shape (6,): RuntimeError: "),
        ("own_nets:wide", {}, "model: own_nets:wide must map 2 rows to a tensor of shape (2, 3), but gives (2, 4)"),
        ("own_nets:pair", {}, "model: own_nets:pair must return a tensor for each batch, not tuple"),
        ("own_nets:nothing", {"batch_norm": True}, "batch_norm: own_nets:nothing does not take it, only input_shape,"),
    ],
)
def test_what_goes_wrong_gets_one_line(folder, name, fields, message):
    with pytest.raises(InputError) as caught:
        build(folder, name, **fields)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["os:", ":build", "a-b:c", "a:b:c", "a..b:c"])
def test_the_form_is_checked_with_the_recipe(name):
    with pytest.raises(InputError, match=r"is not of the form package.module:function"):
        Recipe.from_dict({"model": name})
