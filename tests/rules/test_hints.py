"""Hints are code that works: recipes accept their changes, and checkpoints that they mended pass the rule."""

import re
import shlex
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

import weightsmith as ws
from weightsmith.rules import RULES, fix_hint
from weightsmith.rules.hints import CHECKPOINT, TRAINING, hint
from weightsmith.train import Recipe

NAMES = {rule.name: rule for rule in RULES.values()}


def finding(name, weight="fc.weight"):
    return NAMES[name].finding("", "", {}, weight=weight)


def test_every_hint_is_for_a_rule_and_every_rule_has_a_hint():
    assert set(CHECKPOINT) | set(TRAINING) <= set(NAMES)
    assert not set(CHECKPOINT) & set(TRAINING)
    for name in NAMES:
        assert fix_hint(finding(name))


@pytest.mark.parametrize("name", TRAINING)
def test_recipes_accept_the_changes(name):
    words = [word for line in TRAINING[name].splitlines() if "--set" in line for word in shlex.split(line)]
    changes = [value for option, value in pairwise(words) if option == "--set"]
    assert Recipe().override(changes) or not changes


@pytest.mark.parametrize("name", TRAINING)
def test_python_of_a_training_hint_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(line for line in TRAINING[name].splitlines() if not line.startswith("weightsmith train"))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    batches = [(torch.randn(8, 4), None) for _ in range(2)]
    exec(code, {"torch": torch, "weightsmith": ws, "model": model, "training_batches": batches})


def faulty(name):
    torch.manual_seed(0)
    weight = torch.randn(128, 128)
    if name == "non-finite-weights":
        weight[3, 4] = torch.nan
    elif name == "heavy-outliers":
        weight[5, 5] = 5000.0
    elif name == "zero-rows":
        weight[:3] = 0
    elif name == "duplicate-rows":
        weight[7] = weight[8]
    elif name == "subnormal-values":
        weight[:64] = 1e-40
    elif name == "vanishing-rows":
        weight[:9] *= 1e-6
    elif name in ("constant-weight", "dead-layer"):
        weight[:] = 0.5 * (name == "constant-weight")
    elif name == "almost-zeros":
        weight[torch.rand(weight.shape) < 0.5] = 1e-9
    elif name == "wasted-width":
        weight = weight.to(torch.bfloat16).float()
    return weight


@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_mended_checkpoint_passes_the_rule(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"fc.weight": faulty(name), "other.weight": torch.ones(3)}, "model.safetensors")
    exec(hint(name, [finding(name)]), {})
    found = ws.check("mended.safetensors", select=[name])
    assert [item.weight for item in found] == []
    assert torch.equal(load_file("mended.safetensors")["other.weight"], torch.ones(3))


MENDED = ["non-finite-weights", "heavy-outliers", "zero-rows", "duplicate-rows", "subnormal-values", "vanishing-rows"]


@pytest.mark.parametrize("name", MENDED)
def test_the_checkpoint_did_not_pass_before(name, tmp_path):
    save_file({"fc.weight": faulty(name)}, tmp_path / "model.safetensors")
    assert [item.weight for item in ws.check(tmp_path / "model.safetensors", select=[name])] == ["fc.weight"]


def test_quantized_and_thin_layers_stand_for_the_same_matrix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    weight = torch.randn(64, 3) @ torch.randn(3, 64)
    save_file({"fc.weight": weight}, "model.safetensors")
    exec(hint("lossy-int8", [finding("lossy-int8")]), {})
    found = load_file("mended.safetensors")
    scale = found["fc.weight.scale"]
    assert ((found["fc.weight"] * scale - weight).abs() <= 0.5001 * scale).all()
    exec(hint("rank-collapse", [finding("rank-collapse")]), {})
    found = load_file("mended.safetensors")
    assert found["fc.weight.left"].shape[1] <= 3
    error = (found["fc.weight.left"] @ found["fc.weight.right"] - weight).norm() / weight.norm()
    assert error < 0.04


def test_a_hostile_name_stays_a_text_in_the_code():
    code = hint("zero-rows", [finding("zero-rows", weight="a'] + __import__('os').system('x') + ['\n\x1b")])
    (line,) = [line for line in code.splitlines() if line.startswith("for name in")]
    assert line.isprintable()
    assert re.search(r'for name in \["a\'\].*\\n\\x1b"\]:', line)
    compile(code, "hint", "exec")
