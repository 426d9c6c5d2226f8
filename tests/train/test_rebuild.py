"""A run's model, built again, is the model that the run tested."""

import shutil

import pytest
import torch

from weightsmith import Store
from weightsmith.train import checkpoint, train
from weightsmith.train.rebuild import rebuild


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A training with batch norm, too short for checkpoints on its way, and its run."""
    monkeypatch.setattr(checkpoint, "COST_SHARE", 0.0)
    recipe = {
        "data": "digits",
        "model": {"name": "mlp", "hidden": [16]},
        "batch_norm": True,
        "budget": {"epochs": 2},
    }
    result = train(recipe, store=tmp_path / "store", progress=False)
    with Store.open(tmp_path / "store") as store:
        yield result, store.run(result.run_id)


def test_running_statistics_are_those_of_the_training(trained):
    result, run = trained
    rebuilt = rebuild(run)
    assert rebuilt.note == ""
    expected = dict(result.model.named_buffers())
    assert expected
    for name, buffer in rebuilt.model.named_buffers():
        assert torch.equal(buffer, expected[name]), name


@pytest.mark.parametrize("harm", ["missing", "damaged", "other step"])
def test_running_statistics_are_measured_anew_where_no_checkpoint_has_them(trained, harm):
    result, run = trained
    folder = run.files / checkpoint.FOLDER
    if harm == "missing":
        shutil.rmtree(folder)
    elif harm == "damaged":
        (folder / checkpoint.LAST).write_bytes(b"PK\x03\x04")
    else:
        state, _ = checkpoint.load(folder, torch.device("cpu"))
        state["position"]["step"] += 1
        state["best"]["step"] += 1
        checkpoint.save(folder, state, None, None)
    rebuilt = rebuild(run)
    assert "measured anew" in rebuilt.note
    wanted = dict(result.model.named_buffers())
    mean = next(name for name in wanted if name.endswith("running_mean"))
    torch.testing.assert_close(dict(rebuilt.model.named_buffers())[mean], wanted[mean], rtol=0.3, atol=0.3)


def test_measuring_tells_how_far_it_is_and_can_be_given_up(trained):
    _, run = trained
    shutil.rmtree(run.files / checkpoint.FOLDER)
    told = []
    rebuild(run, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, len(told)) for done in range(len(told))]
    assert len(told) > 10

    def give_up(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(run, progress=give_up)
