"""What is fitted is fitted to the training rows alone, and the split depends on the seed and the data alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import SourceError
from weightsmith.train.data.assemble import assemble
from weightsmith.train.data.raw import Raw
from weightsmith.train.recipe import Recipe
from weightsmith.train.recipe.fields import DataChoice

ROWS = 40


def raw(layout, random):
    shape = {"features": (4,), "sequence": (5, 2), "image": (2, 3, 3)}[layout]
    inputs = random.normal(size=(ROWS, *shape))
    levels = {}
    if layout == "features":
        inputs[:, 3] = random.integers(0, 3, ROWS)
        levels = {3: ["a", "b", "c"]}
        inputs[random.random((ROWS, 4)) < 0.1] = np.nan
        inputs[:3, :3] = 1.0
    return Raw("rows", inputs, random.normal(size=ROWS), layout, levels=levels, feature_names=list("wxyz"))


def parts(data):
    return {"train": data.train, "validation": data.validation, "test": data.test}


@given(st.sampled_from(["features", "sequence", "image"]), st.integers(0, 1000), st.floats(-1e3, 1e3), st.data())
def test_held_out_rows_change_nothing_that_is_fitted(layout, seed, shift, draw):
    random = np.random.default_rng(seed)
    first = raw(layout, random)
    choice = DataChoice(path="rows", missing="impute")
    before = assemble(first, choice, "regression", seed)
    held_out = np.concatenate([before.validation.ids, before.test.ids])
    inputs, targets = first.inputs.copy(), first.targets.copy()
    numbers = slice(0, 3) if layout == "features" else slice(None)
    inputs[held_out, numbers] += shift
    if layout == "features":
        inputs[held_out, 3] = draw.draw(st.integers(0, 2))
    targets[held_out] *= shift
    changed = Raw("rows", inputs, targets, layout, levels=first.levels, feature_names=first.feature_names)
    after = assemble(changed, choice, "regression", seed)
    assert torch.equal(before.train.ids, after.train.ids)
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert torch.equal(before.train.targets, after.train.targets)
    assert torch.equal(before.standardization.mean, after.standardization.mean)
    assert torch.equal(before.target_standardization.scale, after.target_standardization.scale)
    assert before.feature_names == after.feature_names


def test_a_category_that_training_never_saw_is_no_category():
    inputs = np.arange(ROWS)[:, None] % 2.0
    before = assemble(Raw("rows", inputs, np.arange(ROWS) * 0.5), DataChoice(path="r"), None, 0)
    inputs[before.test.ids] = 2.0
    source = Raw("rows", inputs, np.arange(ROWS) * 0.5, levels={0: ["a", "b", "c"]}, feature_names=["letter"])
    data = assemble(source, DataChoice(path="r", standardize=False), None, 0)
    assert data.feature_names == ["letter=a", "letter=b"]
    assert (data.test.inputs == 0).all()
    assert (data.train.inputs.sum(1) == 1).all()


@pytest.mark.parametrize(
    "change",
    [
        {"model": "linear"},
        {"batch_size": 7},
        {"precision": "bf16"},
        {"optimizer": "adamw"},
        {"data": {"name": "iris", "standardize": False}},
        {"threads": 1},
        {"budget": {"steps": 3}},
        {"penalties": {"l1": 1.0}},
    ],
)
def test_the_split_depends_on_no_other_option(change):
    from weightsmith.train.data import load_data

    one, other = (load_data(Recipe(**{"data": "iris", "seed": 5, **fields})) for fields in ({}, change))
    for name, part in parts(one).items():
        assert torch.equal(part.ids, parts(other)[name].ids)
    different = load_data(Recipe(data="iris", seed=6))
    assert not torch.equal(one.train.ids, different.train.ids)


def test_parts_hold_every_row_once_and_classes_in_proportion():
    from weightsmith.train.data import load_data

    data = load_data(Recipe(data="digits"))
    ids = torch.cat([part.ids for part in parts(data).values()])
    assert sorted(ids.tolist()) == list(range(1797))
    for part in parts(data).values():
        shares = torch.bincount(part.targets, minlength=10) / len(part)
        assert (shares - 0.1).abs().max() < 0.01


def test_classes_that_outnumber_the_training_rows_are_refused():
    source = Raw("rows", np.zeros((8, 1)), np.array(["a", "b", "c", "d"] * 2))
    with pytest.raises(SourceError, match="rows: 8 rows leave 3 to train on, at least 4 are needed"):
        assemble(source, DataChoice(path="r", validation=0.3, test=0.4), None, 0)


def test_a_regression_whose_targets_are_all_one_number_is_refused():
    source = Raw("rows", np.arange(20.0).reshape(20, 1), np.full(20, 1.5))
    with pytest.raises(SourceError, match=r"rows: every row has the same target, 1.5: there is nothing to learn"):
        assemble(source, DataChoice(path="r"), None, 0)
