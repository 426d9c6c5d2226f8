import json

import numpy as np
import pytest
import yaml

from weightsmith.rules import RULES
from weightsmith.sources.safetensors import write_safetensors


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / "model.safetensors"
    matrix = np.random.default_rng(0).standard_normal((32, 24)).astype(np.float32)
    write_safetensors(path, {"fc.weight": matrix, "fc.bias": np.zeros(32, np.float32)})
    return path


def test_training_says_how_it_went_and_what_to_do_next(weightsmith, tmp_path):
    outcome = weightsmith("train", "--store", tmp_path / "s", "--set", "model.hidden=[8]", "--set", "budget.epochs=1")
    assert outcome.code == 0
    for words in ("1 epochs, 40 steps", "test accuracy", "Verdict:", "Recording took", "weightsmith plot"):
        assert words in outcome.out


def test_training_as_json_is_one_object(weightsmith, tmp_path):
    small = ["--set", "data=iris", "--set", "model=linear", "--set", "budget.epochs=3"]
    outcome = weightsmith("train", "--store", tmp_path / "s", "--json", *small)
    facts = json.loads(outcome.out)
    assert facts["epochs"] == 3
    assert 0 <= facts["metrics"]["test_accuracy"] <= 1
    assert facts["run"] in weightsmith("runs", "--store", tmp_path / "s").out


def test_the_effective_recipe_can_be_trained_from(weightsmith, tmp_path):
    shown = weightsmith("train", "--show-recipe", "--set", "optimizer.lr=0.01").out
    assert yaml.safe_load(shown)["optimizer"]["lr"] == 0.01
    path = tmp_path / "recipe.yaml"
    path.write_text(shown)
    assert weightsmith("train", path, "--show-recipe").out == shown


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimizer=adamm", ["optimizer", "adamm", "did you mean 'adam'"]),
        ("budget.epochs=-1", ["budget.epochs", "-1"]),
        ("learning_rate=1", ["learning_rate"]),
        ("data=/nowhere/data.csv", ["/nowhere/data.csv"]),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_and_exit_code_2(weightsmith, tmp_path, change, words):
    outcome = weightsmith("train", "--store", tmp_path / "s", "--set", change, "--quiet")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err


def test_resuming_takes_no_recipe(weightsmith, trained):
    outcome = weightsmith("train", "--store", trained, "--resume", "latest", "--set", "seed=1")
    assert (outcome.code, "own recipe" in outcome.err) == (2, True)


def test_a_finished_run_cannot_be_resumed(weightsmith, trained):
    outcome = weightsmith("train", "--store", trained, "--resume", "first")
    assert (outcome.code, "complete" in outcome.err) == (2, True)


def test_runs_are_listed_shown_and_deleted(weightsmith, trained):
    (listed,) = json.loads(weightsmith("runs", "--store", trained, "--json").out)["runs"]
    assert (listed["name"], listed["status"]) == ("first", "completed")
    shown = json.loads(weightsmith("runs", "first", "--store", trained, "--json").out)["run"]
    assert shown["recipe"]["model"]["hidden"] == [16]
    assert shown["weights"][0]["name"] == "hidden.0.weight"
    assert "hidden.0.weight" in weightsmith("runs", listed["id"][:17], "--store", trained).out
    assert weightsmith("runs", "first", "--delete", "--yes", "--store", trained).code == 0
    assert json.loads(weightsmith("runs", "--store", trained, "--json").out) == {"runs": []}


def test_a_store_that_is_not_there_is_a_mistake_and_is_not_made(weightsmith, tmp_path):
    outcome = weightsmith("runs", "--store", tmp_path / "typo")
    assert (outcome.code, "no store is there" in outcome.err) == (2, True)
    assert not (tmp_path / "typo").exists()
    for other in (tmp_path, f"sqlite:///{tmp_path}/typo.db"):
        assert weightsmith("runs", "--store", other).code == 2
        assert not list(tmp_path.iterdir())


def test_an_unknown_run_is_one_line(weightsmith, trained):
    outcome = weightsmith("check", "frist", "--store", trained)
    assert outcome.code == 2
    assert "first" in outcome.err
    assert outcome.err.count("\n") == 1


def test_pictures_of_a_run_lie_beside_it_unless_asked_elsewhere(weightsmith, trained, tmp_path):
    few = ["--kind", "curves", "--kind", "matrix", "--weight", "hidden.0.weight"]
    drawn = json.loads(weightsmith("plot", "--store", trained, "--json", *few).out)
    assert len(drawn["pictures"]) == 2
    assert all(path.startswith(str(trained)) for path in drawn["pictures"])
    outcome = weightsmith("plot", "--store", trained, "-o", tmp_path / "here", "--format", "svg", *few)
    assert outcome.code == 0
    assert {path.suffix for path in (tmp_path / "here").iterdir()} == {".svg"}


def test_pictures_of_a_file(weightsmith, weights_file, tmp_path, private_store):
    outcome = weightsmith("plot", weights_file, "--kind", "histogram", "-o", tmp_path / "out")
    assert (outcome.code, len(list((tmp_path / "out").iterdir()))) == (0, 1)


@pytest.mark.parametrize("option", [("--kind", "curvess"), ("--format", "gif"), ("--theme", "pink")])
def test_a_mistyped_option_of_a_picture_is_one_line(weightsmith, trained, option):
    outcome = weightsmith("plot", "--store", trained, *option)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_kinds_of_pictures_are_listed(weightsmith):
    kinds = json.loads(weightsmith("plot", "--list", "--json").out)["kinds"]
    assert {"curves", "histograms", "matrix", "updates", "sparsity", "embedding", "filters"} <= {
        kind["name"] for kind in kinds
    }


def test_names_from_a_file_do_not_steer_the_terminal(weightsmith, tmp_path):
    rows = [f"{number % 7},{number % 5},{'yes' if number % 2 else 'no'}" for number in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["a\x1b[31m,b,answer", *rows]))
    recipe = ["data.path=" + str(tmp_path / "rows.csv"), "model=linear", "budget.epochs=1"]
    options = [part for change in recipe for part in ("--set", change)]
    refused = weightsmith("train", "--store", tmp_path / "s", "--quiet", *options)
    assert refused.code == 2
    assert "\x1b" not in refused.err
    lasso = ["--set", "data.target=answer", "--set", "penalties.l1=0.05", "--set", "optimizer.lr=0.02"]
    trained = weightsmith("train", "--store", tmp_path / "s", "--quiet", *options, *lasso)
    assert trained.code == 0
    assert "\x1b" not in trained.out
    assert "\x1b" not in weightsmith("plot", "--store", tmp_path / "s", "-k", "importance").out


def test_a_healthy_file_has_no_findings_and_exit_code_0(weightsmith, weights_file):
    outcome = weightsmith("check", weights_file, "--json")
    report = json.loads(outcome.out)
    assert (outcome.code, report["findings"]) == (0, [])
    assert {item["code"] for item in report["not_checked"]} | set(report["checked"]) == set(RULES)


def test_a_faulty_file_has_exit_code_1(weightsmith, tmp_path):
    path = tmp_path / "broken.safetensors"
    write_safetensors(path, {"fc.weight": np.full((4, 4), np.nan, np.float32)})
    outcome = weightsmith("check", path)
    assert outcome.code == 1
    assert "WS201 non-finite-weights" in outcome.out
    assert weightsmith("check", path, "--ignore", "WS201").code == 0


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b'\x02\0\0\0\0\0\0\0{"'])
def test_a_damaged_file_is_one_line_and_exit_code_2(weightsmith, tmp_path, content):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    outcome = weightsmith("check", path)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "damaged.safetensors" in outcome.err


def test_help_says_what_holds_where_nothing_is_given(weightsmith):
    help_text = " ".join(weightsmith("train", "--help").out.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "").split())
    assert "[default: (the user's data folder)]" in help_text
    assert "[default: (an MLP on digits)]" in help_text


def test_what_is_explained_into_a_pipe_is_not_laid_out(weightsmith):
    assert not any(line.endswith(" ") or len(line) > 140 for line in weightsmith("explain", "WS105").out.splitlines())


def test_rules_are_explained(weightsmith):
    assert "Threshold" in weightsmith("explain", "ws105").out
    assert len(weightsmith("explain").out.splitlines()) == len(RULES)
    assert weightsmith("explain", "WS999").code == 2
    assert weightsmith("explain", "WS1").code == 2
    assert json.loads(weightsmith("explain", "dead-units", "--json").out)["code"] == "WS105"


def test_the_version_is_that_of_the_package(weightsmith):
    from importlib.metadata import version

    assert weightsmith("--version").out == f"weightsmith {version('weightsmith')}\n"


def test_a_warning_is_one_line_without_a_place_in_the_code(capsys):
    from weightsmith.cli.app import show_warning

    show_warning(RuntimeWarning("the disk is\x1b full"), RuntimeWarning, "contextlib.py", 158)
    assert capsys.readouterr().err == "warning: the disk is\\x1b full\n"
