from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from weightsmith.errors import InputError
from weightsmith.init.schemes import SCHEMES
from weightsmith.kinds import KINDS
from weightsmith.optim import OPTIMIZERS, SCHEDULES
from weightsmith.penalties import PENALTIES
from weightsmith.train.models import MODELS
from weightsmith.train.recipe import Recipe
from weightsmith.train.recipe.fields import Penalties
from weightsmith.train.recipe.text import parse

KEYS = list(Recipe.model_fields)


def test_the_top_level_keys_are_fixed():
    promised = (
        "data, task, model, init, kind, optimizer, schedule, penalties, batch_norm, budget, batch_size, precision, "
        "seed, threads, device, record"
    )
    assert ", ".join(KEYS) == promised


def test_penalties_are_those_of_the_table():
    assert set(Penalties.model_fields) - {"proximal"} == set(PENALTIES)


def test_every_field_has_a_default_and_a_name_is_short_for_a_mapping():
    assert Recipe() == Recipe(data={"name": "digits"}, model={"name": "mlp"}, optimizer="adam", budget={"epochs": 20})
    assert Recipe(optimizer="adam") != Recipe(optimizer="adamw")
    assert Recipe(model={"name": "mlp", "hidden": [300, 100]}) == Recipe()
    assert Recipe(model={"name": "mlp", "hidden": (300, 100)}) == Recipe()


def test_what_others_read():
    recipe = Recipe.from_dict(
        {
            "optimizer": {"name": "adam", "lr": 0.01, "betas": [0.8, 0.9], "eps": None},
            "init": {"hidden.*": "he_normal", "output.*": {"name": "normal", "std": 0.1}},
            "record": False,
            "precision": "16",
        }
    )
    assert (recipe.optimizer.name, recipe.optimizer.lr) == ("adam", 0.01)
    assert recipe.optimizer.options == {"betas": [0.8, 0.9]}
    assert recipe.init.scheme == {"hidden.*": "he_normal", "output.*": {"name": "normal", "std": 0.1}}
    assert recipe.record is None
    assert recipe.precision == 16
    assert Recipe(init="he_normal").init.scheme == "he_normal"
    assert Recipe(init={"name": "normal", "std": 1}).init.scheme == {"name": "normal", "std": 1}
    assert Recipe(record=True).record is not None
    assert Recipe(budget={"early_stopping": 3}).budget.epochs == 20
    assert Recipe(budget={"steps": 3}).budget.epochs is None


NAMES = {
    "model": st.sampled_from(sorted(MODELS)),
    "init": st.sampled_from(sorted(set(SCHEMES) - {"constant"})),
    "kind": st.sampled_from(["continuous", "binary", {"name": "sparse", "sparsity": 0.5}]),
    "optimizer": st.sampled_from(sorted(OPTIMIZERS)),
    "schedule": st.sampled_from(sorted(SCHEDULES)),
    "budget": st.sampled_from([{"epochs": 3}, {"steps": 7, "early_stopping": 2}]),
    "penalties": st.sampled_from([{"l1": 1e-5}, {"group_lasso": {"strength": 1.5, "by": "columns", "include": "h*"}}]),
    "record": st.sampled_from([True, False, {"budget": 0.5, "exclude": "a"}]),
    "precision": st.sampled_from([16, 32, "bf16"]),
    "data": st.sampled_from(["iris", "./somewhere/x.csv", {"name": "digits", "target": "even"}]),
    "seed": st.integers(0, 2**32 - 1),
    "task": st.sampled_from([None, "regression"]),
}


@settings(max_examples=25)
@given(st.fixed_dictionaries({}, optional=NAMES))
def test_the_effective_recipe_spells_out_every_default_and_reads_back_equal(given_fields):
    recipe = Recipe.from_dict(given_fields)
    effective = recipe.effective()
    assert list(effective) == KEYS
    assert Recipe.from_dict(effective) == recipe
    assert Recipe.from_dict(effective).effective() == effective
    assert Recipe.from_dict(parse(recipe.to_yaml(), "text")) == recipe


def test_effective_fills_in_what_names_bring_along():
    effective = Recipe.from_dict({"optimizer": "adamw", "model": "cnn", "schedule": "warm_up"}).effective()
    assert effective["optimizer"]["lr"] == OPTIMIZERS["adamw"].lr
    assert effective["optimizer"]["weight_decay"] == OPTIMIZERS["adamw"].weight_decay
    assert effective["optimizer"]["betas"] == [0.9, 0.999]
    assert effective["model"]["channels"] == [32, 64]
    assert effective["batch_norm"] is True
    assert effective["schedule"]["warm_up"] == SCHEDULES["warm_up"].warm_up
    assert Recipe.from_dict({"kind": {"name": "sparse", "sparsity": 0.5}}).effective()["kind"]["scope"] == "global"


MISTAKES = [
    ({"optimzer": "adam"}, "optimzer: unknown field: choose from data,", "did you mean 'optimizer'?"),
    ({"model": {"name": "mpl"}}, "model: unknown model 'mpl'", "did you mean 'mlp'?"),
    ({"model": {"hiden": [3]}}, "model.hiden: unknown field: choose from hidden,", "did you mean 'hidden'?"),
    ({"model": {"hidden": [3, -1]}}, "model.hidden.1: must be 1 or more, got -1", ""),
    ({"model": {"hidden": "big"}}, "model.hidden: must be a list, got 'big'", ""),
    ({"model": {"activation": "relo"}}, "model.activation: must be 'relu',", "did you mean 'relu'?"),
    ({"model": {"dropout": 1}}, "model.dropout: must be below 1, got 1", ""),
    ({"model": {"name": "lstm", "activation": "relu"}}, "model.activation: unknown field: choose from hidden,", ""),
    ({"model": {"name": "linear", "hidden": 3}}, "model.hidden: unknown option: there are none", ""),
    ({"model": {"batch_norm": True}}, "model.batch_norm: is a field of its own: set batch_norm at the top level", ""),
    ({"model": {"folder": "x"}}, "model.folder: is for a model of the form package.module:function", ""),
    ({"model": "a:b:c"}, "model: 'a:b:c' is not of the form package.module:function", ""),
    ({"model": ["mlp"]}, "model: must be a name or a mapping {name: ..., option: ...}, got ['mlp']", ""),
    ({"model": {"name": 3}}, "model.name: must be text, got 3", ""),
    ({"model": "linear", "batch_norm": True}, "batch_norm: model linear has no place for it; leave it null", ""),
    ({"model": "transformer", "batch_norm": True}, "batch_norm: model transformer has no place for it", ""),
    ({"batch_size": 1, "batch_norm": True}, "batch_size: batch normalization needs 2 or more, got 1: raise it, or", ""),
    ({"batch_size": 1, "model": "cnn"}, "batch_size: batch normalization needs 2 or more", "set batch_norm: false"),
    ({"batch_norm": "yes"}, "batch_norm: must be true or false, got 'yes'", ""),
    ({"task": "clasification"}, "task: must be 'classification',", "did you mean 'classification'?"),
    ({"data": "digts"}, "data: unknown data 'digts': choose from digits,", "did you mean 'digits'?"),
    ({"data": 3}, "data: must be a name, a path or a mapping {path: ..., option: ...}, got 3", ""),
    ({"data": {"name": "iris", "path": "x"}}, "data: give a name or a path, not both (name: iris, path: x)", ""),
    ({"data": {"validation": 0}}, "data.validation: must be above 0, got 0", ""),
    ({"data": {"test": -0.1}}, "data.test: must be 0 or more, got -0.1", ""),
    ({"data": {"validation": 0.5, "test": 0.5}}, "data: validation and test must leave rows to train on", ""),
    ({"data": {"image_size": [1, 2, 3]}}, "data.image_size: must have 2 items, got [1, 2, 3]", ""),
    ({"data": {"image_size": [8, 100_000]}}, "data.image_size.1: must be 4096 or less, got 100000", ""),
    ({"data": {"missing": "imput"}}, "data.missing: must be 'refuse' or 'impute', got 'imput'", "mean 'impute'?"),
    ({"init": "he_norml"}, "init: unknown scheme 'he_norml'", "did you mean 'he_normal'?"),
    ({"init": {"name": "normal", "sdt": 1}}, "init.sdt: unknown field: choose from mean, std", "mean 'std'?"),
    ({"init": {"name": "normal", "std": "x"}}, "init.std: must be a number, got 'x'", ""),
    ({"init": {"name": "auto", "gain": 1}}, "init.gain: unknown option: there are none", ""),
    ({"init": {"hidden.*": "he"}}, "init.hidden.*: unknown scheme 'he'", ""),
    ({"init": {"hidden.*": 3}}, "init.hidden.*: must be a scheme's name or {name: ..., option: ...}, got 3", ""),
    ({"init": {"name": "zeros", "weights": {"*": "ones"}}}, "init: give one scheme or a mapping {pattern: scheme}", ""),
    ({"kind": "binry"}, "kind: unknown kind 'binry'", "did you mean 'binary'?"),
    ({"kind": "sparse"}, "kind: method 'magnitude' needs the option 'sparsity', or n and m", ""),
    ({"kind": {"name": "sparse", "method": "rigle"}}, "kind: unknown sparse method 'rigle'", "did you mean 'rigl'?"),
    ({"kind": {"name": "sparse", "method": "l1", "strength": 0.1, "sparsity": 1}}, "kind.sparsity: unknown field", ""),
    ({"kind": {"name": "sparse", "sparsity": "high"}}, "kind.sparsity: must be a number, got 'high'", ""),
    ({"kind": {"name": "sparse", "sparsity": 2}}, "kind: sparsity", "2"),
    ({"kind": {"name": "binary", "alphabt": "bits"}}, "kind.alphabt: unknown field", "did you mean 'alphabet'?"),
    ({"optimizer": "adm"}, "optimizer: unknown optimizer 'adm'", "did you mean 'adam'?"),
    ({"optimizer": {"lr": 0}}, "optimizer.lr: must be above 0, got 0", ""),
    ({"optimizer": {"lr": float("nan")}}, "optimizer.lr: must be a finite number, got nan", ""),
    ({"optimizer": {"lr": "fast"}}, "optimizer.lr: must be a number, got 'fast'", ""),
    ({"optimizer": {"weight_decay": -1}}, "optimizer.weight_decay: must be 0 or more, got -1", ""),
    ({"optimizer": {"clip_norm": 0}}, "optimizer.clip_norm: must be above 0, got 0", ""),
    ({"optimizer": {"bets": [0.9, 0.9]}}, "optimizer.bets: unknown field: choose from lr,", "did you mean 'betas'?"),
    ({"optimizer": {"bets": None}}, "optimizer.bets: unknown field: choose from lr,", "did you mean 'betas'?"),
    ({"optimizer": {"betas": [1, 2]}}, "optimizer.betas: must be two numbers in [0, 1), got [1, 2]", ""),
    ({"schedule": "cosin"}, "schedule: unknown schedule 'cosin'", "did you mean 'cosine'?"),
    ({"schedule": {"name": "step", "gamm": 1}}, "schedule.gamm: unknown field: choose from warm_up,", "mean 'gamma'?"),
    ({"schedule": {"warm_up": -1}}, "schedule.warm_up: must be 0 or more, got -1", ""),
    ({"schedule": "cosine", "budget": {"seconds": 5}}, "schedule: cosine must know the number of steps", ""),
    ({"schedule": {"warm_up": 0.1}, "budget": {"seconds": 5}}, "schedule.warm_up: 0.1 of a budget in seconds", ""),
    ({"penalties": {"l1": -1}}, "penalties.l1: must be 0 or more, got -1", ""),
    ({"penalties": {"l3": 1}}, "penalties.l3: unknown field: choose from l1, l2,", ""),
    ({"penalties": {"group_lasso": {"by": "row"}}}, "penalties.group_lasso.by: must be 'rows',", "mean 'rows'?"),
    ({"penalties": {"elastic_net": 1}}, "penalties.elastic_net: must be a mapping {l1: ...}, got 1", ""),
    ({"penalties": {"group_lasso": 1}}, "penalties.group_lasso: must be a mapping {strength: ...}, got 1", ""),
    (
        {"budget": {"epochs": 3, "steps": 4}},
        "budget: give one of epochs, steps and seconds, got epochs: 3 and steps",
        "",
    ),
    ({"budget": {"epoch": 3}}, "budget.epoch: unknown field: choose from epochs,", "did you mean 'epochs'?"),
    ({"budget": {"epochs": 0}}, "budget.epochs: must be 1 or more, got 0", ""),
    ({"budget": {"epochs": True}}, "budget.epochs: must be a whole number, got true", ""),
    ({"budget": 20}, "budget: must be a mapping {epochs: ...}, got 20", ""),
    ({"batch_size": "32"}, "batch_size: must be a whole number, got '32'", ""),
    ({"batch_size": None}, "batch_size: must be a whole number, got null", ""),
    ({"precision": 64}, "precision: must be 32, 16 or 'bf16', got 64", ""),
    ({"seed": -1}, "seed: must be 0 or more, got -1", ""),
    ({"seed": 1.5}, "seed: must be a whole number, got 1.5", ""),
    ({"threads": 0}, "threads: must be 1 or more, got 0", ""),
    ({"device": "tpu"}, "device: must be 'auto', 'cpu' or 'cuda', got 'tpu'", ""),
    ({"record": {"budget": 2}}, "record.budget: must be 1 or less, got 2", ""),
    ({"record": "always"}, "record: must be a mapping {budget: ...}, got 'always'", ""),
    ({"record": {"include": 3}}, "record.include: must be a list, got 3", ""),
    ({3: 4}, "3: a recipe's keys are field names", ""),
]


@pytest.mark.parametrize(("fields", "start", "end"), MISTAKES)
def test_a_mistake_gets_one_line_with_the_path_and_what_is_allowed(fields, start, end):
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(fields)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(start)
    assert message.endswith(end)


def test_several_mistakes_get_a_line_each():
    with pytest.raises(InputError) as caught:
        Recipe.from_dict({"seed": -1, "budget": {"steps": 0}, "penalty": {}, "optimizer": {"lr": 0}})
    paths = [line.split(":")[0] for line in str(caught.value).split("\n")]
    assert sorted(paths) == ["budget.steps", "optimizer.lr", "penalty", "seed"]
    with pytest.raises(InputError) as caught:
        Recipe.from_dict({"model": "mpl", "optimizer": "adm", "kind": "binry"})
    assert len(str(caught.value).split("\n")) == 3


def test_a_long_value_is_shortened():
    with pytest.raises(InputError) as caught:
        Recipe(seed="x\n" * 1000)
    assert len(str(caught.value)) < 120
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields", [{"data": {"\n": 1}}, {"model": {"\n\x1b": 1}}, {"kind": {"name": "sparse", "\n": 1}}, {"\n": 1}]
)
def test_a_key_with_line_breaks_stays_on_one_line(fields):
    with pytest.raises(InputError) as caught:
        Recipe.from_dict(fields)
    assert all(line.isprintable() and ":" in line for line in str(caught.value).split("\n"))


@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "nonsense"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=6,
        ),
    )
)
def test_whatever_is_given_is_a_recipe_or_an_input_error(fields):
    message = recipe = None
    try:
        recipe = Recipe.from_dict(fields)
    except InputError as error:
        message = str(error)
    if message is not None:
        assert all(":" in line for line in message.split("\n"))
    else:
        assert Recipe.from_dict(recipe.effective()) == recipe


def _paths(part: type[BaseModel], path: str = ""):
    for name, field in part.model_fields.items():
        yield f"{path}{name}"
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _paths(kind, f"{path}{name}.")


@pytest.mark.parametrize("path", [path for path in _paths(Recipe) if "." in path])
def test_every_field_refuses_what_it_is_not(path):
    outer, *inner = path.split(".")
    value: object = object()
    for name in reversed(inner):
        value = {name: value}
    with pytest.raises(InputError, match=rf"^{path}: must be "):
        Recipe(**{outer: value})


def test_override_changes_single_fields():
    recipe = Recipe.from_dict({"model": {"name": "mlp", "hidden": [10]}, "budget": {"epochs": 3}, "optimizer": "adam"})
    changed = recipe.override(
        ["optimizer.lr=1e-2", "budget.steps=5", "model.hidden=[7, 8]", "data=iris", "record=false"]
    )
    assert changed == Recipe.from_dict(
        {
            "model": {"name": "mlp", "hidden": [7, 8]},
            "budget": {"steps": 5},
            "optimizer": {"name": "adam", "lr": 0.01},
            "data": "iris",
            "record": False,
        }
    )
    assert recipe.budget.epochs == 3
    assert Recipe().override([]) == Recipe()
    assert Recipe().override(["model=cnn"]).effective()["model"]["channels"] == [32, 64]
    assert Recipe().override(["data.path=x.csv", "data.target=y"]).data.path == "x.csv"
    assert Recipe().override(["init={hidden.*: zeros}"]).override(["init.name=ones"]).init.scheme == "ones"
    assert recipe.override(["data.target=even"]).data.name == "digits"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.lr", "'optimizer.lr' is not an assignment: write path=value, such as optimizer.lr=0.01"),
        ("=3", "'=3' is not an assignment"),
        ("optimizer..lr=3", "'optimizer..lr=3' is not an assignment"),
        ("optimizer.lrr=3", "optimizer.lrr: unknown field"),
        ("sed=3", "sed: unknown field"),
        ("seed.x=3", "seed: must be a whole number, got {'x': 3}"),
        ("model.hidden=[3", "--set model.hidden, line 1: "),
        ("seed=!!python/name:os.system x", "--set seed, line 1: tag"),
    ],
)
def test_override_refuses_in_one_line(assignment, message):
    with pytest.raises(InputError) as caught:
        Recipe().override([assignment])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().seed = 3


def test_every_kind_and_name_of_the_tables_is_a_recipe():
    for part, table in {"model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "init": SCHEMES}.items():
        for name in set(table) - {"constant"}:
            assert getattr(Recipe.from_dict({part: name}), part).name == name
    assert set(KINDS) == {"continuous", "binary", "ternary", "sparse"}
