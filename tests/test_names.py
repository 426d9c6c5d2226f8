import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.names import choose, matches, suggestion


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("encoder.0.weight", "encoder.*", True),
        ("encoder.0.weight", "encoder", True),
        ("encoder2.0.weight", "encoder", False),
        ("fc1.weight", "fc?.weight", True),
        ("fc1.weight", ["conv*", "fc[12]*"], True),
        ("fc1.weight", [], False),
        ("FC1.weight", "fc1*", False),
        ("a", "*", True),
    ],
)
def test_patterns_select_by_shell_rules_and_by_prefix(name, patterns, expected):
    assert matches(name, patterns) is expected


@given(st.text("ab.*?", max_size=8), st.text("ab.*?", max_size=6))
def test_whatever_the_shell_would_select_is_selected(name, pattern):
    if fnmatch.fnmatchcase(name, pattern):
        assert matches(name, pattern)


def test_a_close_name_is_suggested_and_a_far_one_is_not():
    assert suggestion("adma", ["adam", "muon"]) == "; did you mean 'adam'?"
    assert suggestion("zzzz", ["adam", "muon"]) == ""


def test_choosing_an_unknown_name_says_what_was_given_and_what_is_allowed():
    assert choose("adam", ["adam"], "optimizer") == "adam"
    with pytest.raises(InputError, match=r"unknown optimizer 'adamm': choose from adam, muon; did you mean 'adam'\?"):
        choose("adamm", ["adam", "muon"], "optimizer")


def test_what_is_no_name_is_named():
    with pytest.raises(InputError, match="unknown kind '3'"):
        choose(3, ["binary"], "kind")
