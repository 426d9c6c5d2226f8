import json
from pathlib import Path

import pytest

import weightsmith as ws
from weightsmith.errors import InputError
from weightsmith.rules import RULES, check, explain
from weightsmith.rules.selection import choose_rules

FOLDER = Path(check.__code__.co_filename).parent
HEADINGS = ["What it does", "Why it is bad", "Threshold", "What to do", "References"]


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_documented_under_the_same_headings(code):
    text = RULES[code].documentation
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    assert RULES[code].summary.endswith(".")
    assert "\n" not in RULES[code].summary


def test_files_and_table_agree():
    files = {path.stem for path in FOLDER.glob("*.py") if "\ndef look(" in path.read_text()}
    assert files == {rule.name.replace("-", "_") for rule in RULES.values()}


def test_rules_are_found_by_code_prefix_and_name():
    assert explain("ws105") == explain("dead-units")
    with pytest.raises(InputError, match="did you mean 'dead-units'"):
        explain("dead-unit")
    with pytest.raises(InputError, match="no rule is called 'WS1'"):
        explain("WS1")


def test_an_unknown_code_is_refused(train, mlp):
    with pytest.raises(InputError, match="no rule is called 'XY1'"):
        check(train(mlp(), steps=5), select=["XY1"])


def test_a_healthy_run_has_no_faults_at_all(train, mlp):
    report = check(train(mlp(), lr=0.05, steps=120))
    assert report.faults == ()


def test_findings_are_plain_json_and_have_a_notebook_form(train, mlp):
    report = check(train(mlp(), lr=1e-7))
    assert len(report) > 0
    assert json.loads(json.dumps([finding.to_json() for finding in report]))
    assert "WS104" in report._repr_html_()
    assert "WS104 small-updates" in str(next(iter(report)))


def test_ignored_rules_stay_silent(train, mlp):
    assert "WS104" not in [finding.code for finding in ws.check(train(mlp(), lr=1e-7), ignore=["WS104"])]


def test_a_selection_that_leaves_no_rule_is_a_mistake_not_a_pass():
    with pytest.raises(InputError, match="ignoring WS2, exploding-gradients leaves no rule to apply"):
        choose_rules(["WS2", "WS101"], ["WS2", "exploding-gradients"])
