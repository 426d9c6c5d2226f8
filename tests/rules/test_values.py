import numpy as np
import pytest
import torch
from torch import nn

import weightsmith as ws
from weightsmith.sources.safetensors import write_safetensors


@pytest.fixture
def save(tmp_path):
    def write(**tensors):
        path = tmp_path / "model.safetensors"
        write_safetensors(path, {name.replace("_", "."): value for name, value in tensors.items()})
        return ws.open(path)

    return write


@pytest.fixture
def normal():
    return np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)


def found(source, code):
    return [finding.weight for finding in ws.check(source, select=[code])]


def test_ordinary_weights_have_no_fault_and_rules_on_runs_are_listed_as_not_checked(save, normal):
    report = ws.check(save(fc_weight=normal))
    assert list(report) == []
    assert {"WS201", "WS202", "WS203", "WS204", "WS240"} <= set(report.checked)
    skipped = {item.code for item in report.skipped}
    assert {code for code in ws.rules.RULES if code < "WS2"} | {"WS223", "WS237"} <= skipped
    assert skipped.isdisjoint(report.checked)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(save, normal, value):
    normal[5, 7] = value
    normal[9, 9] = value
    (finding,) = ws.check(save(fc_weight=normal), select=["WS201"])
    assert finding.severity == "error"
    assert finding.evidence["non_finite"] == 2
    assert finding.evidence["first"] == "5, 7"


def test_a_run_whose_weights_became_nan_names_the_step(train, mlp):
    model = mlp()

    def poison(step):
        if step == 15:
            model[2].weight.grad[0, 0] = float("inf")

    findings = ws.check(train(model, before_step=poison, steps=30), select=["WS201"])
    assert any(finding.weight == "2.weight" and finding.since in (15, 16) for finding in findings)


def test_a_single_huge_weight_is_an_outlier(save, normal):
    normal[3, 3] = 500.0
    assert found(save(fc_weight=normal), "WS202") == ["fc.weight"]


def test_a_sparse_matrix_is_judged_by_its_nonzero_values(save, normal):
    normal[np.abs(normal) < 2] = 0
    assert found(save(fc_weight=normal), "WS202") == []


def test_a_student_distribution_of_healthy_models_is_not_an_outlier(save):
    heavy = np.random.default_rng(0).standard_t(5, (128, 128)).astype(np.float32)
    assert found(save(fc_weight=heavy), "WS202") == []


def test_rows_of_zeros_are_counted(save, normal):
    normal[[2, 40]] = 0
    (finding,) = ws.check(save(fc_weight=normal), select=["WS203"])
    assert finding.evidence == {"zero_rows": 2, "rows": 64}
    assert finding.severity == "warning"


def test_one_row_of_zeros_pads_an_embedding(save, normal):
    normal[0] = 0
    assert found(save(embedding_weight=normal), "WS203") == []


def test_rows_that_repeat_are_found_and_zero_rows_are_not_repeats(save, normal):
    normal[10] = normal[3]
    normal[[20, 21]] = 0
    (finding,) = ws.check(save(fc_weight=normal), select=["WS204"])
    assert finding.evidence["repeated_rows"] == 1


def test_live_models_are_checked_too():
    model = nn.Linear(32, 8)
    with torch.no_grad():
        model.weight[5] = model.weight[2]
    assert found(model, "WS204") == ["weight"]


def test_a_layer_of_one_value_is_one_fault(save):
    assert found(save(fc_weight=np.full((64, 96), 0.5, np.float32)), "WS2") == ["fc.weight"]
    (finding,) = ws.check(save(fc_weight=np.zeros((64, 96), np.float32)), select=["WS2"])
    assert finding.code == "WS240"


def test_equal_rows_of_a_table_are_noted_unless_they_pad_it(save, normal):
    normal[-3:] = normal[5]
    assert found(save(embedding_weight=normal), "WS204") == []
    normal[9] = normal[5]
    (finding,) = ws.check(save(embedding_weight=normal), select=["WS204"])
    assert (finding.severity, finding.evidence["repeated_rows"]) == ("info", 1)
    assert finding.message.startswith("1 of 64 rows repeats another, in 1 group (rows 5, 9 are equal)")


def test_filters_count_as_rows(save):
    filters = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    filters[5] = filters[2]
    assert found(save(conv_weight=filters), "WS204") == ["conv.weight"]
