import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from weightsmith.errors import InputError
from weightsmith.names import by_depth, choose, matches, suggestion


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


def test_numbers_count_and_words_keep_their_order():
    names = ["embed", "layer.0.k", "layer.1.k", "layer.10.k", "layer.2.k", "layer.10.b", "head"]
    assert by_depth(names) == ["embed", "layer.0.k", "layer.1.k", "layer.2.k", "layer.10.k", "layer.10.b", "head"]
    assert by_depth(["b1", "a2", "a1", "b0"]) == ["b0", "b1", "a1", "a2"]
    assert by_depth(["1", "a", "0.12.x", "0.5.x", ""]) == ["", "0.5.x", "0.12.x", "1", "a"]
    assert sorted(by_depth(names)) == sorted(names)


def test_layers_of_a_recurrent_network_come_one_after_the_other():
    model = [name for name, _ in nn.LSTM(3, 4, num_layers=3, bidirectional=True).named_parameters(prefix="lstm")]
    by_alphabet = sorted(["head.weight", *model])
    found = by_depth(by_alphabet)
    assert [name.partition("_l")[2].partition("_")[0] for name in found] == ["", *4 * 2 * ["0"], *8 * ["1"], *8 * ["2"]]
    assert by_depth(by_depth(by_alphabet)) == found
