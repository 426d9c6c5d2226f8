"""The measured false-positive rates that the rules' pages print, and the catalogue that they belong to."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import weightsmith as ws
from weightsmith.rules import RULES, calibration

ROOT = Path(__file__).parents[2]
VALUE_RULES = {code for code, rule in RULES.items() if rule.applies == "weights"}
MEASURED = json.loads((ROOT / "src" / "weightsmith" / "rules" / "calibration.json").read_text())


def test_there_are_rules_for_what_the_literature_knows():
    assert len(VALUE_RULES) >= 25
    for first in (101, 201, 301, 311):
        codes = [
            int(code[2:]) for code in sorted(RULES) if first <= int(code[2:]) < (311 if first == 301 else first + 100)
        ]
        assert codes == list(range(first, first + len(codes)))  # no gaps


def test_every_rule_has_a_section_on_the_page():
    spec = importlib.util.spec_from_file_location("build", ROOT / "docs" / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    headings = {line for line in build.rules_page().splitlines() if line.startswith("## WS")}
    assert headings == {f"## {code}: {rule.name}" for code, rule in RULES.items()}


def test_only_rules_that_exist_were_calibrated_and_counts_make_sense():
    assert set(MEASURED["rules"]) <= VALUE_RULES
    assert len(set(MEASURED["models"])) == len(MEASURED["models"]) >= 10
    for count in MEASURED["rules"].values():
        assert 0 <= count["flagged_models"] <= count["models"] <= len(MEASURED["models"])
        assert 0 <= count["flagged_weights"] <= count["weights"]
        assert count["flagged_weights"] / count["weights"] <= count["weights_upper"] <= 1


def test_warnings_are_rare_on_healthy_models():
    for code, count in MEASURED["rules"].items():
        if RULES[code].severity != "info":  # most: 9 of 144 weights, the filters of a text recognizer that did die
            assert count["flagged_weights"] <= 0.07 * count["weights"], code


def test_errors_never_come_up_on_healthy_models():
    assert not [
        code
        for code, rule in RULES.items()
        if rule.severity == "error" and (calibration(code) or {}).get("flagged_weights")
    ]


def test_findings_on_a_released_model_are_the_known_ones(shared):
    path = shared / "weights" / "silero_vad" / "silero_vad_16k.safetensors"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    found = {(finding.code, finding.weight) for finding in ws.check(path, select=["WS2"])}
    # A Fourier basis holds sin(0); one convolution has a skip connection folded in as a single huge value.
    assert found == {("WS202", "conv4.weight"), ("WS203", "stft_conv.weight"), ("WS217", "conv4.weight")}


def test_the_measurement_can_be_repeated(tmp_path):
    import numpy as np

    np.savez(tmp_path / "healthy.npz", **{"fc.weight": np.random.default_rng(0).standard_t(5, (64, 64))})
    broken = np.random.default_rng(1).standard_normal((64, 64))
    broken[3] = 0
    np.savez(tmp_path / "broken.npz", **{"fc.weight": broken})
    np.save(tmp_path / "broken_16k.npy", broken[:4])  # the same network in another format, smaller
    (tmp_path / "damaged.npz").write_bytes(b"PK")
    output = tmp_path / "counts.json"
    script = ROOT / "benchmarks" / "calibration.py"
    done = subprocess.run(
        [sys.executable, script, f"name={tmp_path}", "--output", output], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stdout
    found = json.loads(output.read_text())
    assert found["models"] == ["name/broken.npz", "name/healthy.npz"]
    zero_rows = found["rules"]["WS203"]
    assert [zero_rows[key] for key in ("models", "weights", "flagged_models", "flagged_weights")] == [2, 2, 1, 1]
    assert "WS237" not in found["rules"]
