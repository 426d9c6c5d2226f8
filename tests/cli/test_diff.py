import json

import numpy as np
import pytest

from weightsmith.sources import write_safetensors


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {"a.weight": rng.normal(size=(32, 20)).astype(np.float32), "a.\x1bbias": np.ones(32, np.float32)}
    write_safetensors(tmp_path / "a.safetensors", tensors)
    tensors["a.weight"] = tensors["a.weight"] * np.float32(1.1)
    write_safetensors(tmp_path / "b.safetensors", {**tensors, "new\n": np.ones(2, np.float32)})
    return tmp_path / "a.safetensors", tmp_path / "b.safetensors"


def test_exit_code_tells_whether_anything_differs(weightsmith, files):
    same = weightsmith("diff", files[0], files[0])
    assert same.code == 0
    assert "all 2 are equal" in same.out
    assert weightsmith("diff", *files).code == 1


def test_text(weightsmith, files):
    out = weightsmith("diff", *files, "--all").out
    assert "Tuned further: 1 of 2 weights changed, by 10.00% of their norm" in out
    assert "a.\\x1bbias" in out
    assert "only in B: new\\n [2] float32" in out
    assert "\x1b" not in out


def test_json(weightsmith, files):
    found = json.loads(weightsmith("diff", *files, "--json").out)
    assert found["same"] is False
    assert [info["name"] for info in found["added"]] == ["new\n"]
    changed = next(tensor for tensor in found["tensors"] if tensor["relation"] == "changed")
    assert changed["relative"] == pytest.approx(0.1, rel=1e-5)


def test_two_steps_of_a_run(weightsmith, trained):
    out = weightsmith("diff", "first@0", "first", "--store", trained)
    assert out.code == 1
    assert "4 of 4 weights changed" in out.out
    assert weightsmith("diff", "first", "first", "--store", trained).code == 0


def test_what_cannot_be_opened_ends_in_one_line(weightsmith, files):
    outcome = weightsmith("diff", files[0], files[0].with_name("none.safetensors"))
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1
    assert "none.safetensors" in outcome.err
