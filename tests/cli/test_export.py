"""`weightsmith export`: what is saved where, and what mistakes get."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file


def facts_of(path):
    found = re.search(r'id="saved">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)
    return json.loads(found.group(1))


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"head.weight": np.eye(5, 4, dtype=np.float32), "head.bias": np.ones(5, np.float32)}, path)
    return path


def test_a_run_its_weights_a_weight_and_a_comparison(weightsmith, trained, model, here):
    outcome = weightsmith("export", "--store", trained)
    assert outcome.code == 0, outcome.err
    assert re.fullmatch(r"first\.html: first, 0\.\d MB\n", outcome.out)
    run = facts_of(here / "first.html")["views"][0].split("/")[-1]
    for arguments, view in (
        (["first", "--view", "?tab=layers"], f"#/run/s0/{run}?tab=layers"),
        ([f"{run}@0"], f"#/source/s0~{run}~0"),
        (["first@0", "-w", "output.bias", "--view", "?clip=1"], f"#/source/s0~{run}~0/weight/3?clip=1"),
        (["first", "-c", "latest@0", "-c", model], f"#/compare?run=s0~{run}&source=s0~{run}~0&source=f0"),
        ([model, "-c", f"{run}@0"], f"#/compare?source=f0&source=s0~{run}~0"),
        (["--view", f"http://localhost:8300/#/source/s0~{run}~0?as=depth"], f"#/source/s0~{run}~0?as=depth"),
        (["--view", "#/"], "#/"),
    ):
        outcome = weightsmith("export", *arguments, "--store", trained, "-o", "out.html", "--json")
        assert outcome.code == 0, outcome.err
        facts = json.loads(outcome.out)
        assert facts["view"] == facts_of(here / "out.html")["view"] == view
        assert facts["bytes"] == (here / "out.html").stat().st_size
        assert facts["left_out"] == []
    assert sorted(path.name for path in here.iterdir()) == ["first.html", "out.html"]


def test_a_file_is_saved_without_a_store(weightsmith, model, here, private_store):
    assert weightsmith("export", model).code == 0
    assert facts_of(here / "model.safetensors.html")["view"] == "#/source/f0"
    assert weightsmith("export", model, "--compare", model).code == 0
    assert facts_of(here / "2-checkpoints-compared.html")["view"] == "#/compare?source=f0&source=f1"
    assert weightsmith("export", model, "--weight", "head.weight").code == 0
    assert facts_of(here / "head.weight-of-model.safetensors.html")["view"] == "#/source/f0/weight/1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["MODEL", "--weight", "head.wieght"], "has no weight 'head.wieght'; did you mean 'head.weight'?"),
        (["first", *["--compare", "MODEL"] * 8], "9 are too many to compare: the page takes 8"),
        (["first", "--compare", "first"], "name two different runs or files"),
        (["MODEL", "--view", "tab"], "is no address"),
        (["MODEL", "--view", "#/nowhere"], "the page has no view '#/nowhere'"),
        (["MODEL", "-o", "nowhere/out.html"], "there is no folder nowhere: make it first"),
        (["MODEL", "-o", "."], "is a folder: give a file"),
        (["MODEL", "-o", "notes.html"], "is no page that was saved here"),
        (["MODEL", "-o", "/dev/full"], "cannot be written: no space left on device"),
        (["nowhere.safetensors"], "no such file"),
        (["firzt"], "did you mean 'first'?"),
        (["first@7"], "has no snapshot at step 7"),
        (["first", "--compare", "sekond"], "nor does a run answer to that"),
        (["first", "--compare", "first", "--weight", "x"], "give one of the two"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(weightsmith, trained, model, here, arguments, words):
    (here / "notes.html").write_text("<!doctype html>mine")
    given = [model if one == "MODEL" else one for one in arguments]
    outcome = weightsmith("export", *given, "--store", trained)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["notes.html"]
    assert (here / "notes.html").read_text() == "<!doctype html>mine"


def test_what_had_no_room_is_said(weightsmith, here, private_store, tmp_path):
    path = tmp_path / "large.safetensors"
    save_file({"a": np.random.default_rng(0).normal(size=(16, 12_000)).astype(np.float32)}, path)
    outcome = weightsmith("export", path, "-w", "a", "--budget", 1.2)
    assert outcome.code == 0, outcome.err
    assert "Some or all had no room (see --budget): " in outcome.out
    assert (here / "a-of-large.safetensors.html").stat().st_size <= 1_200_000
