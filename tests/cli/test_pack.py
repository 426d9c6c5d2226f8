import json

import numpy as np
import pytest

from weightsmith.sources import open as open_source
from weightsmith.sources import write_safetensors
from weightsmith.sources.packed import read_packed

RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "fc1.weight": np.where(RANDOM.random((60, 90)) < 0.02, RANDOM.standard_normal((60, 90)), 0).astype(np.float32),
    "fc1.bias": np.zeros(60, np.float32),
    "fc2.weight": RANDOM.choice([-0.5, 0.5], (30, 60)).astype(np.float32),
    "fc3.weight": RANDOM.standard_normal((10, 30)).astype(np.float32),
    "steps": np.array(7),
}


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", WEIGHTS, {"format": "pt"})
    return tmp_path / "model.safetensors"


def test_a_file_is_packed_without_loss(weightsmith, model, tmp_path):
    outcome = weightsmith("pack", model)
    assert outcome.code == 0, outcome.err
    packed = tmp_path / "model.packed.safetensors"
    assert str(packed.name) in outcome.out
    found = {name: entry.format for name, entry in read_packed(packed)[0].items() if hasattr(entry, "format")}
    assert found.keys() == {"fc1.weight", "fc2.weight"}
    assert found["fc1.weight"] in ("csr", "gaps")
    assert found["fc2.weight"] == "binary"
    source = open_source(packed)
    assert source.metadata == {"format": "pt"}
    for name, weight in WEIGHTS.items():
        np.testing.assert_array_equal(source[name].read(), weight)
    assert "times smaller" in outcome.out
    assert f"packed into {packed.stat().st_size:,} bytes" in outcome.out
    assert weightsmith("diff", model, packed).out.strip() == "The same weights: all 5 are equal to the last bit."
    assert weightsmith("scan", packed).code == 0
    assert weightsmith("check", packed).code in (0, 1)


def test_facts_as_json(weightsmith, model, tmp_path):
    target = tmp_path / "out.safetensors"
    outcome = weightsmith("pack", model, "-o", target, "--json")
    facts = json.loads(outcome.out)
    assert facts["output"] == str(target)
    assert facts["bytes"] == {
        "before": sum(weight.nbytes for weight in WEIGHTS.values()),
        "after": target.stat().st_size,
    }
    by_name = {entry["name"]: entry for entry in facts["weights"]}
    assert by_name["fc2.weight"]["format"] == "binary"
    assert by_name["fc2.weight"]["after"] == 30 * 8 + 4
    sizes = [each["nbytes"] + each["header"] for each in by_name["fc1.weight"]["candidates"]]
    assert sizes == sorted(sizes)
    assert len(sizes) > 3
    assert by_name["fc1.bias"]["candidates"] == []
    assert outcome.err == ""


def test_values_are_rounded_on_request_alone(weightsmith, model, tmp_path):
    assert weightsmith("pack", model, "-o", tmp_path / "a", "--values", "float16").code == 0
    source = open_source(tmp_path / "a")
    np.testing.assert_array_equal(source["fc1.weight"].read(), WEIGHTS["fc1.weight"].astype("f2").astype("f4"))
    np.testing.assert_array_equal(source["fc3.weight"].read(), WEIGHTS["fc3.weight"].astype("f2"))
    np.testing.assert_array_equal(source["fc2.weight"].read(), WEIGHTS["fc2.weight"])


def test_an_existing_file_is_replaced_but_never_what_is_read(weightsmith, model, tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    assert weightsmith("pack", model, "-o", tmp_path / "out").code == 0
    assert open_source(tmp_path / "out").file_format == "packed"
    before = model.read_bytes()
    outcome = weightsmith("pack", model, "-o", model)
    assert outcome.code == 2
    assert "holds the weights themselves" in outcome.err
    assert model.read_bytes() == before
    assert list(tmp_path.glob(".*.tmp")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.safetensors"], "missing.safetensors: no such file"),
        (["model.safetensors", "--values", "float8"], "unknown type of values 'float8'"),
        (["model.safetensors", "--report"], "--report measures a model, and a file has weights alone"),
        (["model.safetensors", "-o", "."], "is a folder"),
        (["model.safetensors", "-o", "no/such/folder/a"], "no/such/folder"),
        (["model.safetensors", "--theme", "pink"], "unknown theme 'pink'"),
        (["nobody"], "nor does a run answer to that"),
    ],
)
def test_bad_input_is_one_line(weightsmith, model, arguments, message):
    outcome = weightsmith("pack", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_what_is_packed_is_not_packed_again(weightsmith, model):
    weightsmith("pack", model)
    outcome = weightsmith("pack", "model.packed.safetensors")
    assert outcome.code == 2
    assert "is packed already: give the file that it was made from" in outcome.err


def test_values_that_overflow_name_their_weight(weightsmith, tmp_path):
    write_safetensors(tmp_path / "a.safetensors", {"big.weight": np.float32([[1e5, 0.1], [2, 3]])})
    outcome = weightsmith("pack", tmp_path / "a.safetensors", "-o", tmp_path / "b", "--values", "float16")
    assert outcome.code == 2
    assert "'big.weight': values up to 1e+05 overflow float16: keep them as bfloat16" in outcome.err
    assert not (tmp_path / "b").exists()


@pytest.fixture
def binary_run(weightsmith, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ["model.hidden=[24, 24]", "budget.epochs=2", "threads=1", "kind.name=binary"]
    options = [part for change in changes for part in ("--set", change)]
    outcome = weightsmith("train", "--name", "tiny", "--quiet", *options)
    assert outcome.code == 0, outcome.err


def test_a_run_is_packed_measured_and_drawn(weightsmith, binary_run, tmp_path):
    outcome = weightsmith("pack", "latest", "--report", "--json")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    target = tmp_path / "tiny.packed.safetensors"
    assert facts["output"] == target.name
    assert facts["bytes"]["after"] == target.stat().st_size
    report = facts["report"]
    assert report["metric"] == "accuracy"
    assert report["scores"]["packed"] == pytest.approx(report["scores"]["trained"], abs=0.005)
    assert report["disk"]["packed"] == target.stat().st_size
    assert [timing["batch"] for timing in report["whole"]] == [1, 8, 64, 256]
    assert report["parity"]["difference"] <= 1e-3 * report["parity"]["largest"]
    assert (tmp_path / facts["picture"]).stat().st_size > 5000
    assert {choice["name"] for choice in facts["weights"]} == {"hidden.0.weight", "hidden.1.weight", "output.weight"}
    weights = open_source(target)
    assert set(np.unique(weights["hidden.1.weight"].read())) == {-1.0, 1.0}


def test_a_run_is_told_as_tables(weightsmith, binary_run):
    outcome = weightsmith("pack", "tiny", "--report", "--theme", "dark", "-o", "x.safetensors")
    assert outcome.code == 0, outcome.err
    for text in ("kept as", "accuracy on the test rows", "batch 256", "on disk", "in memory", "x.report.png"):
        assert text in outcome.out
    plain = weightsmith("pack", "tiny", "-o", "x.safetensors", "--smallest")
    assert plain.code == 0
    assert "batch 256" not in plain.out
    assert "smaller than float32, not measured" in plain.out
