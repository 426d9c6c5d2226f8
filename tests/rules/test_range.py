"""Rules on single values: what a type can hold, where values pile up, how they are stored."""

import ml_dtypes
import numpy as np
import pytest

from weightsmith.sketch import Sketch


@pytest.fixture
def normal():
    return (np.random.default_rng(0).standard_normal((64, 96)) * 0.05).astype(np.float32)


def test_values_beyond_float16_are_a_warning_and_those_just_below_for_information(found, normal):
    assert not found("float16-overflow", {"fc.weight": normal})
    normal[2, 3] = -70000
    (finding,) = found("float16-overflow", {"fc.weight": normal})
    assert (finding.severity, finding.evidence["largest"]) == ("warning", 70000)
    normal[2, 3] = 40000
    (finding,) = found("float16-overflow", {"fc.weight": normal})
    assert finding.severity == "info"


def test_running_variances_overflow_too(found):
    assert found("float16-overflow", {"bn.running_var": np.array([1.0, 1e6], np.float32)})


def test_values_that_float16_rounds_to_zero_are_counted_as_it_does(found, normal):
    assert not found("float16-underflow", {"fc.weight": normal})
    normal[:8] *= 1e-8
    (finding,) = found("float16-underflow", {"fc.weight": normal})
    lost = np.count_nonzero(normal.astype(np.float16) == 0) / normal.size
    assert finding.evidence["lost"] == pytest.approx(lost, rel=0.02)


def test_a_layer_of_tiny_scale_would_be_coarse(found, normal):
    (finding,) = found("float16-underflow", {"fc.weight": normal * np.float32(1e-3)})
    assert finding.evidence["coarse"] > 0.5
    assert finding.evidence["lost"] < 0.01


def test_subnormal_values_are_counted(found, normal):
    assert not found("subnormal-values", {"fc.weight": normal})
    normal[5] = 1e-40
    (finding,) = found("subnormal-values", {"fc.weight": normal})
    assert finding.evidence["subnormal"] == 96
    assert not found("subnormal-values", {"fc.weight": normal, "fc2.weight": normal.astype(np.float64) * 0 + 1})[1:]


def test_clipped_weights_are_found_and_uniform_ones_are_not(found, normal):
    assert not found("clipped-values", {"fc.weight": normal})
    assert not found("clipped-values", {"fc.weight": np.random.default_rng(0).uniform(-1, 1, (99, 99))})
    clipped = np.clip(normal, -0.07, 0.07)
    (finding,) = found("clipped-values", {"fc.weight": clipped})
    assert finding.evidence["at_minimum"] == (clipped == clipped.min()).sum()
    assert finding.evidence["at_maximum"] == (clipped == clipped.max()).sum()


def test_clipped_weights_in_16_bits(found, normal):
    clipped = np.clip(normal, -0.0625, 0.0625)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        (finding,) = found("clipped-values", {"fc.weight": clipped.astype(dtype)})
        assert finding.evidence["at_maximum"] == (clipped.astype(dtype) == dtype(0.0625)).sum()


def test_weights_kept_non_negative_and_sparse_ones_are_not_clipped(found, normal):
    assert not found("clipped-values", {"fc.weight": np.maximum(normal, 0)})


@pytest.mark.parametrize("levels", [2, 16, 255])
def test_quantized_values_in_floats_are_counted(found, levels):
    grid = np.linspace(-0.37, 0.41, levels).astype(np.float32)
    values = np.random.default_rng(0).choice(grid, (128, 64))
    (finding,) = found("few-distinct-values", {"fc.weight": values})
    assert finding.evidence["distinct"] == levels
    assert finding.evidence["bits"] == max(int(np.ceil(np.log2(levels))), 1)


def test_healthy_bfloat16_has_many_distinct_values(found, normal):
    assert not found("few-distinct-values", {"fc.weight": normal.astype(ml_dtypes.bfloat16)})
    assert not found("few-distinct-values", {"fc.weight": normal})


def test_one_layer_in_another_type_is_named(found, normal):
    tensors = {f"layers.{i}.fc.weight": normal.astype(np.float16) for i in range(11)}
    assert not found("mixed-dtypes", {**tensors, "norm.weight": np.ones(8, np.float32)})
    (finding,) = found("mixed-dtypes", {**tensors, "head.weight": normal})
    assert finding.weight == "head.weight"
    assert finding.evidence["dtype"] == "float32"
    halves = {name: values if i % 2 else normal for i, (name, values) in enumerate(tensors.items())}
    assert not found("mixed-dtypes", halves)


def test_wide_types_that_are_not_needed(found, normal):
    assert not found("wasted-width", {"fc.weight": normal})
    assert found("wasted-width", {"fc.weight": normal.astype(np.float64)})[0].evidence["enough"] == "float32"
    rounded = normal.astype(ml_dtypes.bfloat16).astype(np.float32)
    (finding,) = found("wasted-width", {"fc.weight": rounded})
    assert finding.evidence["bytes_saved"] == rounded.nbytes // 2
    rounded[3, 3] = np.pi
    assert not found("wasted-width", {"fc.weight": rounded})


def simulated(values, axis=None):
    step = np.abs(values).max(axis=axis, keepdims=axis is not None) / 127
    error = np.round(values / step) * step - values
    return 10 * np.log10(np.square(values).sum() / np.square(error).sum())


def test_the_noise_of_eight_bits_is_that_of_a_simulation(found, normal):
    from weightsmith.rules.lossy_int8 import signal_to_noise

    for values in (
        normal,
        np.random.default_rng(1).standard_t(3, (64, 96)),
        np.random.default_rng(1).laplace(size=9999),
    ):
        assert signal_to_noise(Sketch.of(values)) == pytest.approx(simulated(values), abs=0.5)
    assert not found("lossy-int8", {"fc.weight": normal})
    normal[4, 4] = 10
    (finding,) = found("lossy-int8", {"fc.weight": normal})
    assert finding.evidence["decibels"] == pytest.approx(simulated(normal.astype(np.float64)), abs=0.7)
    assert finding.evidence["decibels_by_row"] > finding.evidence["decibels"] + 10


def test_channels_beyond_all_others_are_named_in_both_directions(found, normal):
    assert not found("outlier-channels", {"fc.weight": normal})
    normal[7] *= 60
    (finding,) = found("outlier-channels", {"fc.weight": normal})
    assert (finding.evidence["channels"], finding.evidence["of"]) == (1, 64)
    assert "1 of 64 rows reaches" in finding.message
    assert "(row 7)" in finding.message
    (finding,) = found("outlier-channels", {"fc.weight": np.ascontiguousarray(normal.T)})
    assert "(column 7)" in finding.message
    normal[::2] *= 60
    assert not found("outlier-channels", {"fc.weight": normal})  # half of the rows are no outliers


def test_a_soft_mask_is_told_from_smooth_distributions_and_from_zeros(found, normal):
    generator = np.random.default_rng(3)
    mask = generator.random(normal.shape) < 0.6
    for healthy in (
        normal,
        generator.laplace(size=(64, 96)),
        generator.standard_t(2, (64, 96)),
        np.where(mask, 0, normal),
    ):
        assert not found("almost-zeros", {"fc.weight": healthy})
    (finding,) = found("almost-zeros", {"fc.weight": np.where(mask, normal * np.float32(1e-7), normal)})
    assert finding.evidence["tiny"] == pytest.approx(mask.sum(), rel=0.01)


def test_a_mean_beyond_the_spread(found):
    generator = np.random.default_rng(0)
    (finding,) = found("shifted-mean", {"fc.weight": generator.random((64, 64))})
    assert finding.evidence["mean"] == pytest.approx(0.5, abs=0.02)
    assert finding.evidence["share_of_one_sign"] == 1
    (finding,) = found("shifted-mean", {"fc.weight": generator.normal(-1.5, 1, (64, 64))})
    assert finding.evidence["share_of_one_sign"] == pytest.approx(0.933, abs=0.01)
    assert not found("shifted-mean", {"fc.weight": generator.normal(0.5, 1, (64, 64))})
