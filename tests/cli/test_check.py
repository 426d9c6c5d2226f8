"""`weightsmith check` and `explain` as people and CI call them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from weightsmith.cli.app import app
from weightsmith.rules import RULES, Configuration, find_rule
from weightsmith.sources.safetensors import write_safetensors

GUIDE = (Path(__file__).parents[2] / "docs" / "checking.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder, so that no settings but the test's own are found."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def save(folder):
    def write(name="model.safetensors", **dead):
        """A file of layers, each with so many rows of zeros."""
        generator = np.random.default_rng(0)
        tensors = {}
        for layer, rows in dead.items():
            values = generator.standard_normal((64, 64)).astype(np.float32)
            values[:rows] = 0
            tensors[f"{layer}.weight"] = values
        write_safetensors(folder / name, tensors)
        return folder / name

    return write


@pytest.fixture
def zeros(weightsmith):
    """Check rows of zeros alone: one rule whose findings a test can count on."""
    return lambda *arguments: weightsmith("check", *arguments, "--select", "WS203")


def found(outcome):
    return [finding["weight"] for finding in json.loads(outcome.out)["findings"]]


def test_findings_of_a_rule_are_shown_together_with_one_advice(zeros, save):
    outcome = zeros(save(**{f"layer{number}": 3 for number in range(9)}))
    assert outcome.code == 1
    assert outcome.out.count("WS203 zero-rows") == 1
    assert outcome.out.count("What to do:") == 1
    assert outcome.out.count("3 of 64 rows are all zero") == 5
    assert "and 4 more like it (--all shows them)" in outcome.out
    assert "9 warnings from 1 rule." in outcome.out


def test_all_findings_are_shown_when_asked_for(zeros, save):
    outcome = zeros(save(**{f"layer{number}": 3 for number in range(9)}), "--all")
    assert outcome.out.count("3 of 64 rows are all zero") == 9
    assert "more like it" not in outcome.out


def test_no_findings_say_what_was_and_was_not_checked(weightsmith, save):
    outcome = weightsmith("check", save(fc=0), "--select", "WS203,WS101", "--select", "zero-rows")
    assert outcome.code == 0
    assert "No findings from 1 rule." in outcome.out
    assert "WS101 exploding-gradients: needs a recorded run, not weights alone" in outcome.out


@pytest.mark.parametrize(("level", "code"), [("error", 0), ("warning", 1), ("info", 1)])
def test_the_exit_code_follows_the_fail_level(zeros, save, level, code):
    assert zeros(save(fc=2), "--fail-on", level).code == code
    assert zeros(save(fc=2), "--fail-on", level, "--json").code == code


def test_a_name_in_a_file_cannot_color_the_terminal_or_pass_for_markup(zeros, folder):
    values = np.ones((8, 64), np.float32)
    values[:3] = 0
    write_safetensors(folder / "m.safetensors", {"a\x1b[31m[bold]b.weight": values})
    text = zeros("m.safetensors").out
    assert "a\\x1b[31m[bold]b.weight" in text
    assert "\x1b" not in text


def test_settings_are_found_upward_and_can_be_left_out(zeros, save, folder, monkeypatch):
    path = save(encoder=2, decoder=2)
    (folder / "pyproject.toml").write_text(
        "[tool.weightsmith.check]\nfail-on = 'error'\n[tool.weightsmith.check.severity]\nzero-rows = 'info'\n"
        "[[tool.weightsmith.check.suppress]]\nrule = 'zero-rows'\nweights = ['encoder']\nreason = 'pruned on purpose'\n"
        "[[tool.weightsmith.check.suppress]]\nrule = 'zero-rows'\nweights = ['head.*']\nreason = 'gone'\n"
    )
    inner = folder / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    outcome = zeros(path)
    assert outcome.code == 0
    assert "info WS203 zero-rows" in outcome.out
    assert "encoder.weight" not in outcome.out
    assert "Suppressed: 1 finding: pruned on purpose" in outcome.out
    assert "a suppression matched nothing: zero-rows for head.* (gone)" in outcome.out
    assert zeros(path, "--no-config").code == 1
    other = folder / "other.toml"
    other.write_text("[check]\nfail-on = 'warning'")
    assert zeros(path, "--config", other).code == 1
    both = zeros(path, "--config", other, "--no-config")
    assert (both.code, both.err.count("\n")) == (2, 1)


def test_thresholds_of_the_settings_reach_the_rule(weightsmith, save, folder, monkeypatch):
    import dataclasses

    def look(rule, subject):
        if subject.threshold(rule, "limit") < 5:
            yield rule.finding("low", "raise it", {})

    made = dataclasses.replace(RULES["WS203"], look=look, thresholds={"limit": 9.0})
    monkeypatch.setitem(RULES, "WS203", made)
    path = save(fc=0)
    assert weightsmith("check", path, "--select", "WS203").code == 0
    (folder / "weightsmith.toml").write_text("[check.thresholds]\nzero-rows.limit = 4")
    assert weightsmith("check", path, "--select", "WS203").code == 1


def test_wrong_settings_are_one_line_each(zeros, save, folder):
    (folder / "weightsmith.toml").write_text("[check]\nfail-om = 'error'\nselect = ['WS9']")
    outcome = zeros(save(fc=0))
    assert (outcome.code, outcome.out) == (2, "")
    assert [line.partition("weightsmith.toml: ")[2] for line in outcome.err.splitlines()] == [
        "check.fail-om: no such setting; did you mean 'fail-on'?",
        "check.select: no rule is called 'WS9' (weightsmith explain lists them all)",
    ]


def test_a_baseline_lets_what_is_known_pass_and_tells_what_is_gone(zeros, save, folder):
    path = save(first=2, second=2)
    written = zeros(path, "--write-baseline", "known.json")
    assert (written.code, written.err) == (0, "2 findings written to known.json\n")
    same = zeros(path, "--baseline", "known.json")
    assert same.code == 0
    assert "No findings that are new from 1 rule." in same.out
    assert "In the baseline: 2 known findings." in same.out
    shown = zeros(path, "--baseline", "known.json", "--show-known")
    assert (shown.code, shown.out.count("2 of 64 rows")) == (0, 2)
    worse = zeros(save(first=2, second=4, third=1), "--baseline", "known.json", "--json")
    assert (worse.code, sorted(found(worse))) == (1, ["second.weight", "third.weight"])
    better = zeros(save(first=2, second=0), "--baseline", "known.json")
    assert "In the baseline: 1 known finding; 1 of the baseline is gone: write it anew." in better.out


def test_a_baseline_written_over_itself_keeps_what_is_known(zeros, save, folder):
    path = save(first=2, second=2)
    zeros(path, "--write-baseline", "known.json")
    before = (folder / "known.json").read_text()
    zeros(path, "--baseline", "known.json", "--write-baseline", "known.json")
    assert (folder / "known.json").read_text() == before


@pytest.mark.parametrize("arguments", [("--baseline", "no.json"), ("--baseline", "model.safetensors")])
def test_a_baseline_that_is_none_is_one_line(zeros, save, arguments):
    outcome = zeros(save(fc=2), *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


def test_machine_formats_go_to_a_file_or_standard_output(zeros, save, folder):
    path = save(fc=2)
    outcome = zeros(path, "--format", "sarif", "--output", "report.sarif")
    assert (outcome.code, outcome.out) == (1, "")
    run = json.loads((folder / "report.sarif").read_text())["runs"][0]
    assert [result["ruleId"] for result in run["results"]] == ["WS203"]
    suite = Xml.fromstring(zeros(path, "--format", "junit").out.encode())
    assert suite.get("failures") == "1"
    annotation = zeros(path, "--format", "github").out
    assert annotation.startswith(f"::warning file={path},title=WS203 zero-rows::fc.weight: ")


def test_junit_fails_from_the_fail_level_on(zeros, save):
    outcome = zeros(save(fc=2), "--format", "junit", "--fail-on", "error")
    assert outcome.code == 0
    assert Xml.fromstring(outcome.out.encode()).get("failures") == "0"


def test_text_in_a_file_is_plain_and_whole(zeros, save, folder):
    zeros(save(fc=2), "-o", "report.txt")
    text = (folder / "report.txt").read_text()
    assert "\x1b" not in text
    assert "2 of 64 rows are all zero" in text


def test_a_report_that_cannot_be_written_is_one_line(zeros, save):
    outcome = zeros(save(fc=2), "-o", "no/such/folder/report.txt")
    assert (outcome.code, outcome.err) == (
        2,
        "error: no/such/folder/report.txt: cannot be written: no such file or directory\n",
    )


def test_json_is_one_object_by_either_name(zeros, save):
    path = save(fc=2)
    short, full = zeros(path, "--json"), zeros(path, "--format", "json")
    assert short.out == full.out
    assert found(short) == ["fc.weight"]
    clash = zeros(path, "--json", "--format", "sarif")
    assert (clash.code, clash.err.count("\n")) == (2, 1)


def test_hints_come_in_text_json_and_sarif(zeros, save):
    path = save(fc=2)
    assert "A way to mend it" in zeros(path, "--fix-hint").out
    assert json.loads(zeros(path, "--fix-hint", "--json").out)["findings"][0]["fix_hint"]
    result = json.loads(zeros(path, "--fix-hint", "--format", "sarif").out)["runs"][0]["results"][0]
    assert result["properties"]["fix_hint"]
    assert "fix_hint" not in zeros(path, "--json").out


def test_roles_can_be_given(zeros, save):
    path = save(table=1)
    assert zeros(path).code == 1
    assert zeros(path, "--role", "table*=embedding").code == 0


def test_explain_gives_settings_and_calibration(weightsmith):
    text = weightsmith("explain", "zero-rows").out
    assert "Settings" in text
    assert "Calibration" in text
    facts = json.loads(weightsmith("explain", "WS203", "--json").out)
    assert (facts["severity"], facts["applies"]) == ("warning", "weights")
    assert facts["thresholds"] == dict(RULES["WS203"].thresholds)
    assert "calibration" in facts


def test_the_guide_names_options_keys_and_rules_that_exist(weightsmith, save):
    from typer.main import get_command

    options = {name for option in get_command(app).commands["check"].params for name in option.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", GUIDE))
    assert named <= options
    assert options <= named | {"--store", "--role", "-o", "reference"}
    for code in re.findall(r"\bWS\d{3}\b", GUIDE):
        assert find_rule(code)
    keys = set(json.loads(weightsmith("check", save(fc=0), "--json").out))
    assert keys == set(
        re.findall(r"`(\w+)`", next(line for line in GUIDE.splitlines() if line.startswith("| `json`")))
    ) - {"json"}


def test_the_settings_and_the_python_of_the_guide_work(save, folder, capsys):
    (settings,) = blocks("toml")
    (folder / "weightsmith.toml").write_text(settings)
    assert Configuration.find(folder).suppressions[0].reason == "pruned on purpose"
    (folder / "weightsmith.toml").unlink()
    save(fc=2)
    (code,) = blocks("python")
    exec(code, {})
    printed = capsys.readouterr().out
    assert "2 of 64 rows" in printed
    assert "0 new, 1 known" in printed
