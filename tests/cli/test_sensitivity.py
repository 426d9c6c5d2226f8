import json

import pytest

pytest.importorskip("captum")


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "maximize"])
def test_a_picture_beside_the_run(weightsmith, trained, method):
    outcome = weightsmith("sensitivity", "first", "--method", method, "--store", trained, "--json", "--rows", "0,2-3")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["picture"].endswith(f"pictures/sensitivity-{method}.png")
    assert found["picture"].startswith(str(trained))
    assert len(found["outputs"]) == 3 if method != "maximize" else len(found["units"]) == 10


def test_the_model_is_the_one_that_was_trained(weightsmith, trained):
    import contextlib

    import torch

    from weightsmith import Store
    from weightsmith.train.evaluate import Measured
    from weightsmith.train.feed import Feed
    from weightsmith.train.objective import OBJECTIVES
    from weightsmith.train.processes import Processes
    from weightsmith.train.rebuild import rebuild

    with Store.open(trained) as store:
        run = store.run("first")
        rebuilt = rebuild(run)
        expected = run.summary["test_accuracy"]
    device = torch.device("cpu")
    feed = Feed(rebuilt.data.test, device)
    scores = Measured(feed, OBJECTIVES[rebuilt.data.task], Processes(0, 1, device), 64).scores(
        rebuilt.model, contextlib.nullcontext()
    )
    assert scores.metric == pytest.approx(expected)


@pytest.mark.parametrize("method", ["binary", "sparse"])
def test_what_each_layer_costs_when_it_alone_is_discrete(weightsmith, trained, method):
    from weightsmith import Store

    outcome = weightsmith(
        "sensitivity", "first", "--method", method, "--store", trained, "--json", "--sparsity", "0.95"
    )
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["score"] == "accuracy"
    assert found["picture"].endswith(f"sensitivity-{method}.png")
    assert {layer["to"] for layer in found["layers"]} == {method}
    with Store.open(trained) as store:
        expected = store.run("first").summary["test_accuracy"]
    assert [layer["before"] for layer in found["layers"]] == pytest.approx([expected] * len(found["layers"]))
    assert min(layer["change"] for layer in found["layers"]) < 0


def test_units_of_a_layer_are_counted_by_asking_the_model(weightsmith, trained):
    outcome = weightsmith(
        "sensitivity", "first", "--method", "maximize", "--layer", "activations.0", "--store", trained, "--json"
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["units"] == list(range(16))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "sparse", "--sparsity", "1"], "below 1, not 1.0"),
        (["--method", "grad-cam"], "has no Conv2d layer"),
        (["--method", "salience"], "unknown method 'salience'"),
        (["--rows", "0-x"], "--rows 0-x: give numbers and ranges"),
        (["--rows", "100000"], "--rows 100000: there are"),
        (["--target", "10"], "target 10 is not one of the model's 10 outputs"),
        (["--layer", "x"], "--layer is for grad-cam and maximize"),
        (["--method", "maximize", "--layer", "nowhere"], "no layer 'nowhere'"),
        (["--format", "gif"], "unknown format 'gif'"),
    ],
    ids=range(9),
)
def test_mistakes_end_in_one_line(weightsmith, trained, options, message):
    outcome = weightsmith("sensitivity", "first", "--store", trained, *options)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_a_run_of_a_loop_of_ones_own_is_refused(weightsmith, tmp_path):
    import torch

    from weightsmith import record

    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with record(model, optimizer, store=tmp_path / "own", name="own") as recorder:
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        recorder.step(loss=1.0)
    outcome = weightsmith("sensitivity", "own", "--store", tmp_path / "own")
    assert outcome.code == 2
    assert "was recorded in a loop of its own" in outcome.err
