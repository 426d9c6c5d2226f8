"""Explanations of trained runs, against torch's own gradients and captum on the model built again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

from weightsmith.rules import Configuration
from weightsmith.store import Store
from weightsmith.train import train
from weightsmith.train.rebuild import rebuild
from weightsmith.web.app import create_app
from weightsmith.web.library import Library
from weightsmith.web.served import Served

captum = pytest.importorskip("captum.attr")

SHORT = {"budget": {"epochs": 2}}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Runs of every kind of input and task; of one the data is gone, and one names code of its user's own."""
    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    sequences, rows = folder / "sequences.npz", rng.normal(size=(80, 12, 3)).astype(np.float32)
    np.savez(sequences, x=rows, y=(rows[:, :, 0].mean(axis=1) > 0).astype(np.int64))
    gone, sparse = folder / "gone.npz", folder / "words.svm"
    np.savez(gone, x=rows[:, 0], y=rng.integers(0, 2, 80))
    sparse.write_text("".join(f"{i % 2} {1 + i % 2}:1 {10 + i % 7}:2.5\n" for i in range(80)))
    recipes = {
        "wine": {"data": "wine", "model": {"name": "mlp", "hidden": [8]}},
        "digits": {"data": "digits", "model": {"name": "cnn", "channels": [4, 4], "hidden": 8}},
        "diabetes": {"data": "diabetes", "model": {"name": "mlp", "hidden": [8]}},
        "binary": {"data": {"path": str(gone)}, "task": "binary_classification", "model": {"name": "linear"}},
        "lstm": {"data": {"path": str(sequences), "sequence": True}, "model": {"name": "lstm", "hidden": 6}},
        "transformer": {"data": {"path": str(sequences), "sequence": True}, "model": "transformer"},
        "sparse": {"data": {"path": str(sparse)}, "model": {"name": "mlp", "hidden": [4]}},
    }
    for name, recipe in recipes.items():
        train({**recipe, **SHORT}, store=folder / "runs", name=name, progress=False)
    with Store.open(folder / "runs") as opened:
        for name, recipe in (
            ("recorded", None),
            ("own", {"model": "os.path:join"}),
            ("nonsense", {"model": 3, "data": []}),
            ("other", {"data": "wine", "model": {"name": "mlp", "hidden": [9]}}),
            ("huge", {"data": "wine", "model": {"name": "mlp", "hidden": [1 << 20, 1 << 20]}}),
        ):
            writer = opened.create_run(name=name, recipe=recipe, environment={}, weights=[])
            writer.snapshot(0, {"w": np.ones((2, 2), np.float32)})
            writer.finish("completed")
        yield opened


@pytest.fixture
def get(store):
    """What the server answers about a run: status and JSON."""
    with TestClient(create_app(Served(Library({"s0": store}), Configuration())), base_url="http://localhost") as client:

        def ask(name, what="", **parameters):
            response = client.get(f"/api/stores/s0/runs/{run_of(store, name).id}/explain{what}", params=parameters)
            return response.status_code, response.json()

        yield ask


def run_of(store, name):
    return store.run(next(run.id for run in store.runs() if run.name == name))


def rows_of(store, name, rows):
    """The model and rows of its test or validation set."""
    rebuilt = rebuild(run_of(store, name))
    inputs, targets = (rebuilt.data.test or rebuilt.data.validation).batch(torch.tensor(rows))
    return rebuilt, inputs, targets


def gradients(model, inputs, target):
    leaf = inputs.clone().requires_grad_(True)
    outputs = model(leaf)
    chosen = outputs.argmax(1) if target is None else torch.full((len(inputs),), target)
    (found,) = torch.autograd.grad(outputs.gather(1, chosen[:, None]).sum(), leaf)
    return found, chosen, outputs


@pytest.mark.parametrize("target", [None, 3])
def test_saliency_of_images_is_the_size_of_the_gradient(get, store, target):
    rows = [5, 0, 17]
    wanted = {} if target is None else {"target": target}
    status, found = get("digits", "/attribution", rows="5,0,17", method="saliency", **wanted)
    assert status == 200
    rebuilt, inputs, labels = rows_of(store, "digits", rows)
    expected, chosen, outputs = gradients(rebuilt.model, inputs, target)
    assert [row["row"] for row in found["rows"]] == rows
    assert [row["target"] for row in found["rows"]] == chosen.tolist()
    assert [row["label"] for row in found["rows"]] == labels.tolist()
    for place, row in enumerate(found["rows"]):
        np.testing.assert_allclose(row["heat"]["values"], expected[place].abs().flatten(), rtol=1e-3, atol=1e-6)
        shares = torch.softmax(outputs[place].detach().double(), 0)
        assert row["probabilities"][0][0] == int(shares.argmax())
        np.testing.assert_allclose([p for _, p in row["probabilities"]], shares.sort(descending=True)[0][:5], rtol=1e-3)


def test_integrated_gradients_are_captums_and_add_up(get, store):
    status, found = get("wine", "/attribution", rows="2", method="integrated-gradients", target=1)
    assert status == 200
    rebuilt, inputs, _ = rows_of(store, "wine", [2])
    expected = captum.IntegratedGradients(rebuilt.model).attribute(inputs, target=1, n_steps=64)[0]
    row = found["rows"][0]
    order = np.argsort(-np.abs(expected.numpy()), kind="stable")
    assert [one["name"] for one in row["features"]] == [rebuilt.data.feature_names[place] for place in order]
    values = [one["weight"] for one in row["features"]]
    np.testing.assert_allclose(values, expected.numpy()[order], rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        change = rebuilt.model(inputs)[0, 1] - rebuilt.model(torch.zeros_like(inputs))[0, 1]
    assert sum(values) == pytest.approx(float(change), abs=1e-3 + abs(row["gap"]))
    original = rebuilt.data.standardization.invert(inputs)[0]
    np.testing.assert_allclose([one["value"] for one in row["features"]], original[order.tolist()], rtol=1e-5)
    assert [one["name"] for one in found["overall"]] == [one["name"] for one in row["features"]]


def test_grad_cam_weights_maps_by_their_mean_gradients(get, store):
    status, found = get("digits", "/attribution", rows="4", method="grad-cam", layer="convolutions.0")
    assert (status, found["layer"], found["signed"]) == (200, "convolutions.0", False)
    rebuilt, inputs, _ = rows_of(store, "digits", [4])
    maps = []
    layer = dict(rebuilt.model.named_modules())["convolutions.0"]
    with_hook = layer.register_forward_hook(lambda _m, _i, out: maps.append(out))
    outputs = rebuilt.model(inputs)
    with_hook.remove()
    (slopes,) = torch.autograd.grad(outputs.max(), maps[0])
    coarse = torch.relu((slopes.mean((2, 3), keepdim=True) * maps[0]).sum(1, keepdim=True))
    expected = torch.nn.functional.interpolate(coarse, inputs.shape[2:], mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found["rows"][0]["heat"]["values"], expected.detach().flatten(), rtol=1e-3, atol=1e-5)


def test_wrong_rows_are_those_that_the_model_gets_wrong_the_surest_first(get, store):
    rebuilt = rebuild(run_of(store, "digits"))
    split = rebuilt.data.test or rebuilt.data.validation
    inputs, labels = split.batch(torch.arange(len(split)))
    with torch.no_grad():
        sure, said = torch.softmax(rebuilt.model(inputs).double(), 1).max(1)
    wrong = [int(row) for row in torch.argsort(-sure, stable=True) if said[row] != labels[row]]
    status, found = get("digits", "/rows", wrong="true", count=8)
    assert status == 200
    assert found["wrong"] == found["total"] == len(wrong) > 8
    assert [row["row"] for row in found["rows"]] == wrong[:8]
    assert get("digits", "/rows", first=1 << 40)[1]["rows"] == []
    first = get("digits", "/rows", count=1)[1]["rows"][0]
    pixels = rebuilt.data.standardization.invert(inputs[0])[0].numpy()
    low, high = np.quantile(pixels, [0.005, 0.995])
    np.testing.assert_allclose(
        first["picture"]["planes"][0], np.rint(255 * np.clip((pixels - low) / (high - low), 0, 1)).flatten(), atol=1
    )


def test_outputs_that_are_nan_are_no_class_and_no_right_answer(get, store):
    run = run_of(store, "digits")
    broken = store.create_run(name="broken", recipe=run.recipe, environment=run.environment, weights=run.weights)
    tensors = {name: np.full(weight.info.shape, np.nan, np.float32) for name, weight in run.source().items()}
    broken.snapshot(1, tensors)
    broken.finish("completed")
    status, found = get("broken", "/rows", wrong="true")
    assert (status, found["wrong"]) == (200, found["answered"])
    assert {(row["predicted"], len(row["probabilities"])) for row in found["rows"]} == {(None, 0)}
    assert get("broken", "/attribution", rows="0")[0] == 400


def test_values_are_predicted_in_their_own_units_and_the_worst_come_first(get, store):
    rebuilt = rebuild(run_of(store, "diabetes"))
    split = rebuilt.data.test or rebuilt.data.validation
    inputs, truth = split.batch(torch.arange(len(split)))
    scaling = rebuilt.data.target_standardization
    with torch.no_grad():
        said = scaling.invert(rebuilt.model(inputs).double())[:, 0]
    known = scaling.invert(truth.double())[:, 0]
    found = get("diabetes", "/rows", wrong="true", count=5)[1]
    worst = torch.argsort((said - known).abs(), descending=True)[:5].tolist()
    assert [row["row"] for row in found["rows"]] == worst
    np.testing.assert_allclose([row["predicted"][0] for row in found["rows"]], said[worst], rtol=1e-4)
    np.testing.assert_allclose([row["label"][0] for row in found["rows"]], known[worst], rtol=1e-4)


def test_one_logit_speaks_for_the_second_class(get, store):
    summary = get("binary")[1]
    assert summary["outputs"] == summary["classes"][1:]
    found = get("binary", "/attribution", rows="0", method="saliency")[1]["rows"][0]
    share = dict(map(tuple, found["probabilities"]))[1]
    assert share == pytest.approx(1 / (1 + np.exp(-found["output"])), rel=1e-3)


def test_units_like_inputs_that_excite_them_and_the_same_every_time(get, store):
    status, found = get("wine", "/maximized", layer="hidden.0", units="0,5")
    assert status == 200
    rebuilt = rebuild(run_of(store, "wine"))
    layer = dict(rebuilt.model.named_modules())["hidden.0"]
    for unit in found["units"]:
        inputs = torch.zeros(1, 13)
        for one in unit["features"]:
            inputs[0, one["index"]] = one["weight"]
        with torch.no_grad():
            assert float(layer(inputs)[0, unit["unit"]]) == pytest.approx(unit["after"], rel=1e-4)
        assert unit["after"] > unit["before"]
    assert get("wine", "/maximized", layer="hidden.0", units="5")[1]["units"][0]["unit"] == 5


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_sequences_run_from_left_to_right(get, store, name):
    assert get(name)[1]["input"] == "sequence"
    found = get(name, "/attribution", rows="1", method="saliency")[1]["rows"][0]
    rebuilt, inputs, _ = rows_of(store, name, [1])
    expected = gradients(rebuilt.model, inputs, None)[0][0].abs().T
    assert (found["heat"]["height"], found["heat"]["width"]) == expected.shape == (3, 12)
    np.testing.assert_allclose(found["heat"]["values"], expected.flatten(), rtol=1e-3, atol=1e-6)
    assert get(name, "/maximized", units="0")[1]["units"][0]["picture"]["width"] == 12


def test_sparse_rows_are_explained_as_features(get):
    assert get("sparse")[1]["input"] == "features"
    status, found = get("sparse", "/attribution", rows="0,1", method="integrated-gradients")
    assert status == 200
    assert found["rows"][0]["features"][0]["name"].startswith("feature ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *(("recorded", "weightsmith.explain"), ("own", "does not run"), ("nonsense", "model")),
        *(("other", "its model has changed since"), ("huge", "its model has changed since")),
    ],
)
def test_what_cannot_be_explained_is_said_in_one_line(get, store, name, words):
    status, found = get(name)
    assert status == 200
    assert found["possible"] is False
    assert words in found["reason"]
    assert found["reason"].count(run_of(store, name).id) <= 1 + (name == "own")  # whose command names it once more
    assert "\n" not in found["reason"]
    for place in ("/rows", "/attribution", "/maximized"):
        status, found = get(name, place, rows="0", units="0")
        assert status in (400, 409)
        assert "\n" not in found["error"]


def test_data_that_is_gone_is_named(get, store):
    path = Path(run_of(store, "binary").recipe["data"]["path"])
    away = path.rename(path.with_suffix(".away"))
    try:
        found = get("binary")[1]
        assert not found["possible"]
        assert "gone.npz" in found["reason"]
        assert get("binary", "/rows")[1] == {"error": found["reason"]}
    finally:
        away.rename(path)
    assert get("binary")[1]["possible"]


@pytest.mark.parametrize(
    ("place", "parameters", "status"),
    [
        *(("/rows", {"first": -1}, 422), ("/rows", {"count": 65}, 422), ("/rows", {"wrong": "perhaps"}, 422)),
        *(
            ("/attribution", {}, 422),
            ("/attribution", {"rows": "\u0663"}, 422),
            ("/attribution", {"rows": "x"}, 422),
            ("/attribution", {"rows": "1,"}, 422),
        ),
        *(("/attribution", {"rows": "999999999"}, 400), ("/attribution", {"rows": "1", "method": "x"}, 422)),
        *(("/attribution", {"rows": "1", "target": 99}, 400), ("/attribution", {"rows": "1", "target": -1}, 422)),
        ("/attribution", {"rows": ",".join(map(str, range(17)))}, 400),
        ("/attribution", {"rows": "1", "method": "grad-cam", "layer": "hidden"}, 400),
        ("/attribution", {"rows": "1", "method": "grad-cam", "layer": "<b>\u202e"}, 400),
        ("/attribution", {"rows": "1", "layer": "convolutions.0"}, 400),
        *(("/maximized", {"units": "99"}, 400), ("/maximized", {"units": "0", "layer": "no.such"}, 400)),
        *(("/maximized", {"units": ",".join(map(str, range(17)))}, 400), ("/maximized", {}, 422)),
    ],
)
def test_what_makes_no_sense_is_one_line(get, place, parameters, status):
    got, found = get("digits", place, **parameters)
    assert (got, list(found)) == (status, ["error"])
    assert "\n" not in found["error"]
    assert "\u202e" not in found["error"]
