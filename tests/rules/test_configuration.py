"""Settings of a project: where they are found, what they say, and what is said about mistakes in them."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.rules import RULES, Configuration, configuration
from weightsmith.rules.suppression import Suppression

FULL = """
[check]
select = ["WS2", "dead-units"]
ignore = "WS204"
fail-on = "error"

[check.severity]
zero-rows = "info"
WS10 = "warning"

[check.thresholds]
heavy-outliers.kurtosis = 500
WS202.spike = 20.5

[[check.suppress]]
rule = "WS203"
weights = ["encoder.*"]
reason = "pruned on purpose"

[[check.suppress]]
rule = "heavy-outliers"
reason = "known"
"""


@pytest.fixture(autouse=True)
def thresholds(monkeypatch):
    """Heavy outliers with two thresholds, whatever the rule itself declares."""
    rule = dataclasses.replace(RULES["WS202"], thresholds={"spike": 100.0, "kurtosis": 300.0})
    monkeypatch.setitem(RULES, "WS202", rule)


@pytest.fixture
def load(tmp_path):
    def read(text, name="weightsmith.toml"):
        (tmp_path / name).write_text(text)
        return Configuration.load(tmp_path / name)

    return read


def test_every_setting_is_read(load, tmp_path):
    assert load(FULL) == Configuration(
        select=("WS2", "dead-units"),
        ignore=("WS204",),
        fail_on="error",
        severity={"WS203": "info"} | {f"WS10{digit}": "warning" for digit in range(1, 10)},
        thresholds={"WS202": {"kurtosis": 500, "spike": 20.5}},
        suppressions=(
            Suppression("WS203", frozenset({"WS203"}), "pruned on purpose", ("encoder.*",)),
            Suppression("heavy-outliers", frozenset({"WS202"}), "known"),
        ),
        path=tmp_path / "weightsmith.toml",
    )


def test_a_pyproject_has_the_same_settings_under_its_tool_table(load):
    text = FULL.replace("[check", "[tool.weightsmith.check")
    assert load(text, "pyproject.toml").thresholds == load(FULL).thresholds


def test_the_nearest_file_with_settings_wins(tmp_path):
    inner = tmp_path / "models" / "small"
    inner.mkdir(parents=True)
    assert Configuration.find(inner).path is None
    (tmp_path / "weightsmith.toml").write_text("[check]\nfail-on = 'info'")
    (tmp_path / "models" / "pyproject.toml").write_text("[project]\nname = 'other'")
    assert Configuration.find(inner).fail_on == "info"
    (tmp_path / "models" / "pyproject.toml").write_text("[tool.weightsmith.check]\nfail-on = 'error'")
    assert Configuration.find(inner).fail_on == "error"
    (tmp_path / "models" / "weightsmith.toml").write_text("[check]")
    assert Configuration.find(inner).fail_on == "warning"


def test_folders_above_that_may_not_be_looked_into_are_passed_over(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    assert Configuration.find(tmp_path) == Configuration()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[check]\nselct = []", "check.selct: no such setting; did you mean 'select'?"),
        ("[chek]", "chek: no such table; did you mean 'check'?"),
        ("check = 3", "check has to be a table"),
        ("[check]\nselect = ['dead-unit']", "check.select: no rule is called 'dead-unit'; did you mean 'dead-units'?"),
        ("[check]\nselect = [3]", "check.select: has to be a list of texts, not [3]"),
        ("[check]\nfail-on = 'never'", "check.fail-on: has to be one of error, warning, info, not 'never'"),
        ("[check]\nseverity = 'error'", "check.severity: has to be a table"),
        ("[check.severity]\nWS203 = 'high'", "check.severity.WS203: has to be one of error, warning, info"),
        (
            "[check.thresholds]\nWS202.kurtose = 1",
            "has no such threshold (it has: spike, kurtosis); did you mean 'kurtosis'?",
        ),
        ("[check.thresholds]\nWS2.kurtosis = 1", "check.thresholds.WS2: no rule is called 'WS2'"),
        ("[check.thresholds]\nWS202.spike = true", "check.thresholds.WS202.spike: has to be a finite number, not True"),
        ("[check.thresholds]\nWS202.spike = inf", "has to be a finite number"),
        ("[check.thresholds]\nWS202.spike = '9'", "has to be a finite number, not '9'"),
        ("[check.thresholds]\nWS202 = 9", "check.thresholds.WS202: has to be a table"),
        ("[check.suppress]\nrule = 'WS203'", "check.suppress: has to be a list of tables: [[check.suppress]]"),
        ("[[check.suppress]]\nreason = 'x'", "check.suppress[0].rule: name the rule"),
        ("[[check.suppress]]\nrule = 'WS203'", "check.suppress[0].reason: say why"),
        ("[[check.suppress]]\nrule = 'WS203'\nreason = ' '", "check.suppress[0].reason: say why"),
        ("[[check.suppress]]\nrule = 'WS203'\nreason = 'x'\nweight = 'a'", "did you mean 'weights'?"),
        ("[[check.suppress]]\nrule = 'WS999'\nreason = 'x'", "check.suppress[0].rule: no rule is called 'WS999'"),
        ("[check\n", "not TOML"),
        ('[check]\n"a\\u001bb" = 1', "check.a\\x1bb: no such setting"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_key(load, text, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(text)
    assert "weightsmith.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_mistakes_are_told_in_one_go(load):
    with pytest.raises(InputError) as caught:
        load("[check]\nselct = []\nfail-on = 3\nignore = ['XY']")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all("weightsmith.toml: check." in line for line in lines)


def test_keys_of_a_pyproject_are_named_in_full(load):
    with pytest.raises(InputError, match=r"pyproject\.toml: tool\.weightsmith\.check\.selct: "):
        load("[tool.weightsmith.check]\nselct = []", "pyproject.toml")
    with pytest.raises(InputError, match=r"tool\.weightsmith\.chek: no such table"):
        load("[tool.weightsmith.chek]", "pyproject.toml")
    with pytest.raises(InputError, match=r"tool\.weightsmith has to be a table"):
        load("[tool]\nweightsmith = 3", "pyproject.toml")


def test_a_file_that_was_asked_for_must_have_settings(load, tmp_path):
    with pytest.raises(InputError, match=r"has no table \[check\]"):
        load("")
    with pytest.raises(InputError, match=r"has no table \[tool.weightsmith.check\]"):
        load("tool = 3", "pyproject.toml")
    with pytest.raises(InputError, match=r"no\.toml: cannot be read: no such file"):
        Configuration.load(tmp_path / "no.toml")
    with pytest.raises(InputError, match="cannot be read: is a directory"):
        Configuration.load(tmp_path)


def test_files_that_are_no_text_or_far_too_long_are_refused(tmp_path, monkeypatch):
    (tmp_path / "weightsmith.toml").write_bytes(b"[check]\n# \xff")
    with pytest.raises(InputError, match="not TOML"):
        Configuration.find(tmp_path)
    monkeypatch.setattr(configuration, "LARGEST_FILE", 8)
    with pytest.raises(InputError, match="which no configuration is"):
        Configuration.find(tmp_path)


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(["select", "ignore", "fail-on", "severity", "thresholds", "suppress", "other"])


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_whatever_a_table_holds_it_is_read_or_refused_in_lines(table):
    reader = configuration._Reader(Path("weightsmith.toml"))
    try:
        found = reader.read(table)
    except InputError as error:
        found = str(error)
    assert isinstance(found, Configuration) == (reader.problems == [])
    assert all(line.startswith("weightsmith.toml: check.") for line in reader.problems)
