import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightsmith.errors import InputError
from weightsmith.scan.where import where

NAMES = ("std", "mean", "zeros", "kurtosis")
NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3)) | st.integers(-5, 5)


def arithmetic(inner):
    return st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from("+-*"), inner) | inner.map(
        lambda a: f"(-{a})"
    )


TERMS = st.recursive(st.sampled_from(NAMES) | NUMBERS.map(str), arithmetic, max_leaves=5)
COMPARISONS = st.builds(
    lambda first, rest: " ".join([first, *(f"{op} {term}" for op, term in rest)]),
    TERMS,
    st.lists(st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), TERMS), min_size=1, max_size=3),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.builds(lambda a, op, b: f"({a}) {op} ({b})", inner, st.sampled_from(["and", "or"]), inner)
        | inner.map(lambda a: f"not ({a})")
    ),
    max_leaves=6,
)


@given(CONDITIONS, st.fixed_dictionaries(dict.fromkeys(NAMES, st.floats(-1e6, 1e6))))
def test_conditions_mean_what_they_mean_in_python(text, row):
    condition, used = where(text, NAMES)
    assert condition(row) == bool(eval(text, {}, dict(row)))
    assert used == {name for name in NAMES if name in text}


@given(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), st.sampled_from([None, math.nan]), st.booleans())
def test_comparisons_with_nothing_are_false(op, nothing, swapped):
    text = f"1 {op} std" if swapped else f"std {op} 1"
    assert not where(text)[0]({"std": nothing})
    assert where(f"not ({text})")[0]({"std": nothing})
    assert not where(f"std * 2 + 1 {op} 3")[0]({"std": nothing})


ROW = {
    "name": "encoder.0.weight",
    "role": "linear",
    "std": 0.2,
    "shape": [3, 4],
    "elements": 12,
    "zeros": 0,
    "reason": None,
    "tied_to": None,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("std > 0.1 and role == 'linear'", True),
        ("role in ('conv', 'linear')", True),
        ("role not in ['conv']", True),
        ("'bias' in name", False),
        ("matches(name, 'encoder.*')", True),
        ("matches(name, 'encoder')", True),
        ("not matches(name, 'head.*')", True),
        ("matches(reason, '*')", False),
        ("shape == (3, 4)", True),
        ("0.1 < std <= 0.2", True),
        ("abs(-std) > 0.1", True),
        ("elements / zeros > 1", False),
        ("elements % 5 == 2", True),
        ("  zeros == 0  ", True),
        ("tied_to == 'x'", False),
        ("std", True),
    ],
)
def test_examples(text, expected):
    assert where(text)[0](ROW) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stdd > 1", "'stdd', which is no column; did you mean 'std'"),
        ("rank > 1", "it needs --rank"),
        ("std >", "cannot understand"),
        ("", "cannot understand"),
        ("std = 1", "cannot understand"),
        ("__import__('os').system('x')", "cannot be used"),
        ("name.upper() == 'X'", "cannot be used"),
        ("[x for x in (1,)]", "cannot be used"),
        ("(lambda: 1)()", "cannot be used"),
        ("std ** 99 > 1", "cannot be used"),
        ("f'{std}' == 'x'", "cannot be used"),
        ("std if std else std", "cannot be used"),
        ("std is None", "cannot be used"),
        ("b'x' == name", "cannot be used"),
        ("~1 == std", "cannot be used"),
        ("(x := 1) == std", "cannot be used"),
        ("shape[0] == 3", "cannot be used"),
        ("matches(name)", "cannot be used"),
        ("abs(std, key=1)", "cannot be used"),
        ("std > " + "1" * 600, "cannot be used"),
        ("std > " + "(" * 995, "longer than"),
        ("(" * 400 + "1" + ")" * 400 + " < std", "cannot understand"),
        ("\x00", "cannot understand"),
    ],
)
def test_everything_else_is_refused_in_one_line(text, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")) as caught:
        where(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["name > 1", "name * 9 == 1", "std in 5", "matches(std, 'x')", "name + name == 'x'"])
def test_texts_and_numbers_do_not_mix(text):
    with pytest.raises(InputError, match="texts and numbers"):
        where(text)[0](ROW)


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_one_line(text):
    try:
        condition, used = where(text)
    except InputError as error:
        message = str(error)
    else:
        message = str(condition(dict.fromkeys(used)))
    assert "\n" not in message


@pytest.mark.parametrize("text", ["-" * 900 + "1", "not " * 240 + "1", "(" * 400 + "1" + ")" * 400])
def test_deep_nesting_is_understood_or_refused_in_one_line(text):
    refusal = ""
    try:
        where(text)[0]({})
    except InputError as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert refusal or text.startswith("not")


def test_a_word_that_is_no_column_may_be_a_text_without_quotes():
    with pytest.raises(InputError, match="texts are written in quotes: 'linear'"):
        where("role == linear")
