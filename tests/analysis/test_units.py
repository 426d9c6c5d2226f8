import doctest
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from weightsmith.analysis import rule_list, rules_of, units, units_used
from weightsmith.errors import InputError


@pytest.mark.parametrize("module", [units, rule_list])
def test_examples_in_the_documentation_are_true(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.integers(0, 9)),
        elements=st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0]),
    )
)
def test_uses_rebuild_the_weight_strongest_first(weight):
    rebuilt = np.zeros_like(weight)
    for unit in units_used(weight):
        for use in unit.uses:
            rebuilt[unit.index, use.index] = use.weight
        strengths = [abs(use.weight) for use in unit.uses]
        assert strengths == sorted(strengths, reverse=True)
        assert unit.unused == weight.shape[1] - len(unit.uses)
        assert (unit.scale is not None) == (len(set(strengths)) == 1)
    np.testing.assert_array_equal(rebuilt, weight)


def test_filters_have_inputs_in_c_order():
    weight = np.zeros((2, 3, 2, 2), np.float32)
    weight[1, 2, 0, 1] = -1
    empty, unit = units_used(weight)
    assert [use.index for use in unit.uses] == [9]
    assert str(empty) == "unit 0: nothing; not 12 others"


@pytest.mark.parametrize(
    ("weight", "names", "message"),
    [
        (np.zeros(3), None, "at least two axes"),
        (np.full((2, 2), np.nan), None, "NaN or infinite"),
        (np.zeros((2, 3)), ["a"], "1 names were given for 3 inputs"),
    ],
)
def test_mistakes_are_named(weight, names, message):
    with pytest.raises(InputError, match=message):
        units_used(weight, names)


def test_a_sparse_linear_model_reads_as_weighted_features():
    weight = np.array([[0.0, 1.2, -0.25, 0.0], [0.5, 0.0, 0.0, 0.0]])
    malignant, benign = rules_of(
        weight, [0.3, 0.0], ["area", "radius", "age", "texture"], ["malignant", "benign"], standardized=True
    )
    assert str(malignant) == (
        "score of malignant = 0.3 + 1.2 x radius (standardized) - 0.25 x age (standardized); not used: 2 others"
    )
    assert str(benign) == "score of benign = 0.5 x area (standardized); not used: 3 others"
    assert not malignant.decides


def test_weights_of_zero_and_one_read_as_a_count_and_are_right():
    weight, bias = np.array([[0.5, 0.0, 0.5, 0.5]]), [-0.75]
    (rule,) = rules_of(weight, bias, ["a", "b", "c", "d"], ["no", "yes"])
    assert str(rule) == "yes where the sum of a, c, d is at least 1.5; not used: 1 other"
    for row in np.ndindex(2, 2, 2, 2):
        assert (np.array(row) @ weight[0] + bias[0] > 0) == (row[0] + row[2] + row[3] >= 1.5)


def test_signs_read_as_a_sum_and_a_difference():
    (rule,) = rules_of(np.array([[0.1, -0.1]]), None, ["a", "b"], ["no", "yes"])
    assert str(rule) == "yes where 0 < 0.1 x (a - b)"
    first, _ = rules_of(np.array([[-1.0, 1.0], [1.0, 1.0]]), [1.0, -1.0])
    assert str(first) == "score of output 0 = 1 + 1 x (- input 0 + input 1)"


def test_long_rules_are_cut_and_say_so():
    (rule,) = rules_of(np.arange(1.0, 21.0)[None], most=2)
    assert str(rule) == "output 0 where 0 < 20 x input 19 + 19 x input 18 and 18 more"
    assert len(rule.unit.uses) == 20


def test_an_output_that_uses_nothing_is_constant():
    (rule,) = rules_of(np.zeros((1, 2)), [0.5])
    assert str(rule) == "output 0: always 0.5, whatever the input; not used: 2 others"


@pytest.mark.parametrize(
    ("bias", "classes"), [([1.0], None), ([1.0, np.nan], None), (None, ["a"]), (None, ["a", "b", "c"])]
)
def test_what_does_not_fit_is_refused(bias, classes):
    with pytest.raises(InputError):
        rules_of(np.eye(2), bias, classes=classes)


def test_rules_of_a_fitted_model_score_as_it_does():
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    inputs = StandardScaler().fit_transform(data.data)
    model = LogisticRegression(l1_ratio=1, solver="liblinear", C=0.05).fit(inputs, data.target)
    (rule,) = rules_of(model.coef_, model.intercept_, data.feature_names, data.target_names, standardized=True)
    scores = rule.bias + sum(use.weight * inputs[:, use.index] for use in rule.unit.uses)
    np.testing.assert_allclose(scores, model.decision_function(inputs))
    assert rule.of == "benign"
    assert re.match(r"benign where 0 < 0\.26\d? - 1\.67 x worst radius \(standardized\) - 0\.\d+ x ", rule.text)
