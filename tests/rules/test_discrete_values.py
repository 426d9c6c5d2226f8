"""Rules on the values of binary, ternary and sparse weights."""

import ml_dtypes
import numpy as np
import pytest

import weightsmith as ws
from weightsmith.rules.unpacked_zeros import packed_bytes
from weightsmith.sources.packed import write_packed


@pytest.fixture
def random():
    return np.random.default_rng(0)


def signs(random, shape, scale=None):
    values = random.choice([-1.0, 1.0], shape)
    if scale == "channel":
        values *= random.uniform(0.1, 1, (shape[0], *[1] * (len(shape) - 1)))
    return values.astype(np.float32)


def sparse(random, shape, density):
    return (random.standard_normal(shape) * (random.random(shape) < density)).astype(np.float32)


def weights(findings):
    return [finding.weight for finding in findings]


@pytest.mark.parametrize("scale", [None, "channel"])
@pytest.mark.parametrize("shape", [(128, 96), (64, 32, 3, 3)])
def test_binary_values_in_floats_are_found_with_any_scale(found, random, shape, scale):
    values = signs(random, shape, scale)
    (finding,) = found("unpacked-signs", {"fc.weight": values})
    packed = values.size // 8 + 4 * (1 if scale is None else shape[0])
    assert finding.evidence["packed_bytes"] == packed
    assert finding.evidence["bytes"] == 4 * values.size
    assert finding.severity == "info"
    assert "two values" in finding.message


def test_bits_and_ternary_values_are_found(found, random):
    bits = random.integers(0, 2, (128, 96)).astype(np.float32) * 0.3
    ternary = signs(random, (128, 96), "channel") * (random.random((128, 96)) < 0.5)
    found_both = found("unpacked-signs", {"a.weight": bits, "b.weight": ternary})
    assert weights(found_both) == ["a.weight", "b.weight"]
    assert "three values" in found_both[1].message
    assert found_both[1].evidence["packed_bytes"] == 128 * 96 // 4 + 4 * 128


def test_the_output_axis_of_keras_counts(found, random):
    values = signs(random, (128, 96), "channel").T
    assert found("unpacked-signs", {"kernel": values}, {"kernel": {"output_axis": 1, "role": "linear"}})
    assert not found("unpacked-signs", {"kernel": values}, {"kernel": {"role": "linear"}})


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values * (1 + 1e-3 * (np.arange(values.size).reshape(values.shape) % 7 == 0)),
        lambda values: np.where(np.arange(values.size).reshape(values.shape) == 5, 0.7, values),
        lambda values: np.where(np.arange(values.size).reshape(values.shape) == 5, np.nan, values),
        lambda values: np.ones_like(values),
        lambda values: np.where(np.arange(values.shape[1]) < 4, values, 0),
    ],
)
def test_nearly_binary_constant_and_very_sparse_values_are_not(found, random, change):
    assert not found("unpacked-signs", {"fc.weight": change(signs(random, (128, 96))).astype(np.float32)})


def test_continuous_values_are_not_binary(found, random):
    normal = random.standard_normal((128, 96))
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        assert not found("unpacked-signs", {"fc.weight": normal.astype(dtype)})
        assert not found("collapsed-signs", {"fc.weight": normal.astype(dtype)})


def test_channels_of_one_value_have_collapsed(found, random):
    values = signs(random, (64, 512), "channel")
    assert not found("collapsed-signs", {"fc.weight": values})
    values[3] = np.abs(values[3])
    values[9] = -np.abs(values[9])
    values[9, :2] *= -1  # 2 of 512 is 0.037 bits
    values[20, :5] = np.abs(values[20, :5])
    (finding,) = found("collapsed-signs", {"fc.weight": values})
    assert finding.evidence["collapsed_rows"] == 2
    assert "rows 3, 9" in finding.message


def test_short_rows_may_be_alike_by_chance(found, random):
    values = signs(random, (64, 9))
    values[3] = 1
    assert not found("collapsed-signs", {"conv.weight": values.reshape(64, 1, 3, 3)})


def test_one_layer_nearly_empty_while_others_are_not(found, random):
    model = {f"fc{i}.weight": sparse(random, (100, 100), 0.2) for i in range(3)}
    assert not found("layer-collapse", model)
    collapsed = np.zeros((100, 100), np.float32)
    collapsed[np.arange(30), np.arange(30)] = 1.5
    (finding,) = found("layer-collapse", model | {"fc3.weight": collapsed})
    assert finding.weight == "fc3.weight"
    assert finding.evidence["kept"] == 30
    # as many as there are units are no collapse, and none at all is another rule's
    assert not found("layer-collapse", model | {"fc3.weight": np.eye(100, dtype=np.float32)})
    assert not found("layer-collapse", model | {"fc3.weight": np.zeros((100, 100), np.float32)})


def test_dense_models_do_not_collapse(source_of, random):
    model = {f"fc{i}.weight": random.standard_normal((64, 64)).astype(np.float32) for i in range(3)}
    report = ws.check(source_of(model), select=["WS312", "WS313"])
    assert {item.code for item in report.skipped} == {"WS312", "WS313"}


def test_units_that_masks_cut_off_waste_the_weights_on_their_other_side(found, random):
    first, second = sparse(random, (60, 100), 0.3), sparse(random, (40, 60), 0.3)
    assert not found("severed-units", {"fc1.weight": first, "fc2.weight": second})
    first[:5] = 0
    second[:, 10:20] = 0
    (finding,) = found("severed-units", {"fc1.weight": first, "fc2.weight": second})
    wasted = np.count_nonzero(first[10:20]) + np.count_nonzero(second[:, :5])
    assert finding.weight == "fc1.weight"
    assert finding.evidence["wasted"] == wasted
    assert finding.evidence["units"] == 15
    assert finding.evidence["wasted_share"] == pytest.approx(
        wasted / (np.count_nonzero(first) + np.count_nonzero(second))
    )


def test_units_dead_on_both_sides_waste_nothing(found, random):
    first, second = sparse(random, (60, 100), 0.3), sparse(random, (40, 60), 0.3)
    first[:5] = 0
    second[:, :5] = 0
    assert not found("severed-units", {"fc1.weight": first, "fc2.weight": second})


def test_channels_of_convolutions_and_of_a_flattened_image_are_followed(found, random):
    conv = sparse(random, (16, 8, 3, 3), 0.3)
    following = sparse(random, (20, 16, 3, 3), 0.3)
    dense = sparse(random, (30, 20 * 4), 0.3)
    names = ["conv1.weight", "conv2.weight", "fc.weight"]
    assert not found("severed-units", dict(zip(names, (conv, following, dense), strict=True)))
    following[:, :4] = 0
    dense[:, 8:16] = 0  # all four positions of channels 2 and 3
    assert weights(found("severed-units", dict(zip(names, (conv, following, dense), strict=True)))) == names[:2]


def test_layers_of_other_widths_are_not_compared(found, random):
    first, second = sparse(random, (60, 100), 0.3), sparse(random, (40, 50), 0.3)
    second[:, :20] = 0
    assert not found("severed-units", {"fc1.weight": first, "fc2.weight": second})


@pytest.mark.parametrize(
    ("dtype", "zeros", "expected"),
    [
        (np.float32, 0.02, True),
        (np.float32, 0.001, False),
        (np.float32, 0.05, False),
        (ml_dtypes.bfloat16, 0.05, True),
        (np.float16, 0.1, False),
        (np.float64, 0.02, False),
    ],
)
def test_zeros_that_no_format_makes_use_of(found, random, dtype, zeros, expected):
    values = random.standard_normal((100, 100))
    values.ravel()[:: round(1 / zeros)] = 0
    assert bool(found("too-few-zeros", {"fc.weight": values.astype(dtype)})) is expected


def test_rows_of_zeros_are_not_pruned_weights(found, random):
    values = random.standard_normal((100, 100)).astype(np.float32)
    values[3:5] = 0
    assert not found("too-few-zeros", {"fc.weight": values})


@pytest.mark.parametrize("density", [0.4, 0.05, 0.01])
def test_zeros_stored_one_by_one(found, random, density):
    values = sparse(random, (128, 96), density)
    (finding,) = found("unpacked-zeros", {"fc.weight": values})
    kept = np.count_nonzero(values)
    assert finding.evidence["packed_bytes"] == min(
        128 * 12 + 4 * kept, np.min_scalar_type(kept).itemsize * 129 + 6 * kept
    )
    assert finding.evidence["packed_bytes"] < finding.evidence["bytes"] * (density + 0.05)


def test_dense_and_empty_matrices_have_no_zeros_to_pack(found, random):
    assert not found("unpacked-zeros", {"fc.weight": sparse(random, (128, 96), 0.7)})
    assert not found("unpacked-zeros", {"fc.weight": np.zeros((128, 96), np.float32)})


def test_wide_rows_have_no_16_bit_columns():
    assert packed_bytes(2, 1 << 17, 10, 4) == 2 * (1 << 14) + 40
    assert packed_bytes(2, 1 << 15, 10, 4) == 3 + 60


def test_bytes_agree_with_what_packing_takes(random):
    packing = pytest.importorskip("weightsmith.packing")
    for density in (0.3, 0.02):
        values = sparse(random, (128, 96), density)
        smallest = min(
            candidate.nbytes for candidate in packing.smallest(values).candidates if candidate.values == "float32"
        )
        kept = np.count_nonzero(values)
        assert smallest <= packed_bytes(128, 96, kept, 4) <= 1.5 * smallest


def test_binary_values_are_one_finding_and_not_two(source_of, random):
    report = ws.check(source_of({"fc.weight": signs(random, (128, 96))}), select=["WS229", "WS315"])
    assert [finding.code for finding in report] == ["WS315"]


def _levels() -> np.ndarray:
    """Few values, at limits, that bfloat16 holds: faults of WS228, WS229 and WS231 in plain float32."""
    values = np.random.default_rng(0).integers(-40, 41, (99, 99)).astype(np.float32)
    return np.clip(values, -32, 32) / 256


OF_VALUES = ["WS228", "WS229", "WS231"]


def test_levels_are_faults_of_plain_weights(source_of):
    report = ws.check(source_of({"fc.weight": _levels()}), select=OF_VALUES)
    assert {finding.code for finding in report.findings} == set(OF_VALUES)


def test_packed_files_hold_levels_on_purpose(tmp_path):
    write_packed(tmp_path / "packed.safetensors", {"fc.weight": _levels()})
    report = ws.check(tmp_path / "packed.safetensors", select=OF_VALUES)
    assert not report.findings
    assert {item.code for item in report.unchecked} == set(OF_VALUES)


@pytest.mark.parametrize("series", ["flip_rate", "mask_churn"])
def test_weights_of_a_kind_hold_levels_on_purpose(write, source_of, series, monkeypatch):
    source = source_of({"fc.weight": _levels(), "other.weight": _levels()})
    run = write({(series, "fc.weight"): [0.1] * 30}, weights=[weight.info for weight in source.values()])
    monkeypatch.setattr(type(run), "snapshots", lambda self: [1])
    monkeypatch.setattr(type(run), "source", lambda self: source)
    report = ws.check(run, select=OF_VALUES)
    assert {(finding.code, finding.weight) for finding in report.findings} == {
        (code, "other.weight") for code in OF_VALUES
    }
