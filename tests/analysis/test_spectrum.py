from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import scipy.linalg

from weightsmith.analysis import spectrum
from weightsmith.errors import InputError
from weightsmith.sources import open_safetensors, write_safetensors
from weightsmith.sources.source import Weight
from weightsmith.weight import WeightInfo

RECIPES = {
    "gaussian-200x100": lambda rng: rng.normal(size=(200, 100)),
    "gaussian-64x300": lambda rng: 0.05 * rng.normal(size=(64, 300)),
    "heavy-150x150": lambda rng: 0.05 * rng.standard_t(2.5, size=(150, 150)),
    "heavy-400x120": lambda rng: 0.02 * rng.pareto(2.0, size=(400, 120)),
    "decay-128x96": lambda rng: rng.normal(size=(128, 96)) * 0.95 ** np.arange(96),
    "spike-256x128": lambda rng: 0.05 * rng.normal(size=(256, 128)) + 0.2 * np.outer(np.ones(256), np.ones(128)),
    "few-40x12": lambda rng: rng.normal(size=(40, 12)),
    "conv-32x24x3x3": lambda rng: 0.1 * rng.standard_t(4, size=(32, 24, 3, 3)),
    "conv-16x8x5x5": lambda rng: 0.2 * rng.normal(size=(16, 8, 5, 5)),
}
"""The same as in benchmarks/spectrum.py, drawn from `np.random.default_rng(0)` and cast to float32."""

WEIGHTWATCHER = {
    "gaussian-200x100": 5.701367,
    "gaussian-64x300": 3.276290,
    "heavy-150x150": 3.782097,
    "heavy-400x120": 2.096435,
    "decay-128x96": 1.948820,
    "spike-256x128": 2.393419,
    "few-40x12": 2.262124,
    "conv-32x24x3x3": 5.492320,
    "conv-16x8x5x5": 3.821035,
}
"""Alpha by WeightWatcher 0.7.7: `python benchmarks/spectrum.py --table`."""


@pytest.mark.parametrize("name", RECIPES)
def test_alpha_agrees_with_weightwatcher(name):
    matrix = RECIPES[name](np.random.default_rng(0)).astype(np.float32)
    assert spectrum(matrix).alpha == pytest.approx(WEIGHTWATCHER[name], abs=1e-5)


@pytest.mark.parametrize("shape", [(40, 30), (30, 40), (1, 9), (9, 1), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_singular_values_agree_with_scipy(shape, dtype):
    matrix = np.random.default_rng(0).normal(size=shape).astype(dtype)
    expected = scipy.linalg.svdvals(matrix.astype(np.float64))
    found = spectrum(matrix)
    tolerance = 1e-13 if dtype == np.float64 else 1e-7
    np.testing.assert_allclose(found.singular_values, expected, rtol=tolerance, atol=tolerance * expected[0])
    assert found.rank == min(shape)
    assert found.exact
    assert found.stable_rank == pytest.approx(np.sum(expected**2) / expected[0] ** 2)
    shares = expected / expected.sum()
    assert found.effective_rank == pytest.approx(np.exp(-np.sum(shares * np.log(shares))), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-150, 1e150])
def test_values_of_any_size_keep_their_ranks(scale):
    matrix = np.random.default_rng(0).normal(size=(30, 20))
    plain, scaled = spectrum(matrix), spectrum(matrix * scale)
    np.testing.assert_allclose(scaled.singular_values, plain.singular_values * scale, rtol=1e-9)
    assert scaled.rank == plain.rank
    assert scaled.stable_rank == pytest.approx(plain.stable_rank)
    assert scaled.bulk.spikes == plain.bulk.spikes
    assert scaled.log_norm == pytest.approx(plain.log_norm + 2 * np.log10(scale))


def test_alpha_does_not_depend_on_the_unit_of_small_weights():
    matrix = np.random.default_rng(0).standard_t(3, size=(60, 50)) * 1e-3
    assert spectrum(matrix * 1e-4).alpha == pytest.approx(spectrum(matrix).alpha)


@pytest.mark.parametrize("rank", [0, 1, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_low_rank_is_seen(rank, dtype):
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=(80, rank)) @ rng.normal(size=(rank, 60))).astype(dtype)
    found = spectrum(matrix)
    assert found.rank == rank == np.linalg.matrix_rank(matrix)
    if not rank:
        assert (found.stable_rank, found.effective_rank, found.alpha, found.mp_soft_rank) == (0, 0, None, 0)
        assert found.log_norm == -np.inf


def test_norms_follow_their_definitions():
    matrix = np.random.default_rng(0).standard_t(3, size=(60, 50))
    found = spectrum(matrix)
    eigenvalues = scipy.linalg.svdvals(matrix) ** 2
    assert found.log_norm == pytest.approx(np.log10(np.linalg.norm(matrix) ** 2))
    assert found.log_spectral_norm == pytest.approx(np.log10(eigenvalues[0]))
    assert found.log_alpha_norm == pytest.approx(np.log10(np.sum(eigenvalues**found.alpha)))
    assert found.alpha_weighted == pytest.approx(found.alpha * np.log10(eigenvalues[0]))
    assert found.mp_soft_rank == pytest.approx(found.bulk.upper / eigenvalues[0])


def test_a_convolution_is_its_kernel_positions():
    conv = np.random.default_rng(0).normal(size=(8, 6, 3, 2)).astype(np.float32)
    found = spectrum(conv)
    expected = [scipy.linalg.svdvals(conv[:, :, i, j].astype(np.float64)) for i in range(3) for j in range(2)]
    np.testing.assert_allclose(found.singular_values, np.sort(np.concatenate(expected))[::-1], rtol=1e-6)
    assert (found.matrices, found.rows, found.columns) == (6, 8, 6)


def held(array, **info):
    described = WeightInfo("w", array.shape, str(array.dtype), **{"role": "linear", **info})
    return Weight(described, array.nbytes, lambda: array)


def test_layouts_of_other_formats_give_the_same_spectrum():
    rng = np.random.default_rng(0)
    dense, conv = rng.normal(size=(9, 5)), rng.normal(size=(8, 6, 3, 2))
    keras_dense = held(dense.T, output_axis=1)
    keras_conv = held(np.moveaxis(conv, (0, 1), (-1, -2)), role="conv", output_axis=3)
    tflite_conv = held(np.moveaxis(conv, 1, -1), role="conv")
    for array, weight, file_format in (
        (dense, keras_dense, ""),
        (conv, keras_conv, "keras"),
        (conv, tflite_conv, "tflite"),
    ):
        found, expected = spectrum(weight, file_format=file_format), spectrum(array)
        np.testing.assert_allclose(found.singular_values, expected.singular_values)
        assert found.alpha == expected.alpha


def test_a_stack_of_experts_is_a_matrix_for_each():
    stack = np.random.default_rng(0).normal(size=(4, 9, 7))
    assert spectrum(held(stack)).matrices == 4
    expected = np.sort(np.concatenate([scipy.linalg.svdvals(one) for one in stack]))[::-1]
    np.testing.assert_allclose(spectrum(held(stack)).singular_values, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_spectrum(bad, tmp_path):
    matrix = np.ones((4, 3), np.float32)
    matrix[2, 1] = bad
    with pytest.raises(InputError, match="the array holds NaN or Inf"):
        spectrum(matrix)
    write_safetensors(tmp_path / "a.safetensors", {"fc\x1b.weight": matrix}, None)
    with pytest.raises(InputError, match=r"^fc\\x1b\.weight holds NaN or Inf"):
        spectrum(open_safetensors(tmp_path / "a.safetensors")["fc\x1b.weight"])


@pytest.mark.parametrize("shape", [(), (5,), (0, 4), (4, 0)])
def test_what_is_no_matrix_is_refused(shape):
    with pytest.raises(InputError, match="is no matrix"):
        spectrum(np.zeros(shape))


@pytest.mark.parametrize("shape", [(500, 400), (300, 600)])
def test_an_estimate_says_so_and_is_near(shape):
    rng = np.random.default_rng(0)
    matrix = (rng.normal(size=shape) + 8 * np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))).astype("f4")
    exact, rough = spectrum(matrix), spectrum(matrix, limit=100)
    assert exact.exact
    assert not rough.exact
    assert "6 random starts" in rough.error
    assert len(rough.singular_values) == min(shape)
    assert rough.singular_values[0] == pytest.approx(exact.singular_values[0], rel=1e-6)
    np.testing.assert_allclose(rough.singular_values, exact.singular_values, atol=0.05 * exact.singular_values[1])
    assert rough.stable_rank == pytest.approx(exact.stable_rank, rel=0.02)
    assert exact.bulk.spikes == 1
    assert 1 <= rough.bulk.spikes <= 3  # those at the very edge may fall on either side
    assert spectrum(matrix, limit=100).alpha == rough.alpha  # the same seed


def test_a_time_limit_makes_the_estimate_cruder_not_wrong():
    matrix = np.random.default_rng(0).normal(size=(600, 400)).astype(np.float32)
    rough, exact = spectrum(matrix, time_limit=1e-6), spectrum(matrix)
    assert not rough.exact
    assert rough.effective_rank == pytest.approx(exact.effective_rank, rel=0.05)


def test_an_estimate_of_very_low_rank_ends_early():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 150))
    rough = spectrum(matrix, limit=10)
    np.testing.assert_allclose(rough.singular_values[:3], scipy.linalg.svdvals(matrix)[:3], rtol=1e-6)
    assert not spectrum(np.zeros((200, 150)), limit=10).singular_values.any()


def test_the_benchmark_makes_the_same_matrices():
    text = (Path(__file__).parents[2] / "benchmarks" / "spectrum.py").read_text()
    lines = [line.strip() for line in Path(__file__).read_text().splitlines() if "lambda rng: " in line]
    assert len(lines) > len(RECIPES) - 1
    assert all(line in text for line in lines if line.startswith('"'))


class LeftError(Exception):
    pass


@pytest.mark.parametrize("how", [{}, {"limit": 8}])
@pytest.mark.parametrize("shape", [(300, 90), (40, 16, 3, 3)])
def test_progress_goes_on_to_the_end_and_can_end_it(how, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    told = []
    found = spectrum(array, progress=lambda done, total, doing: told.append((done, total, doing)), **how)
    np.testing.assert_array_equal(found.singular_values, spectrum(array, **how).singular_values)
    shares = [done / total for done, total, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.4 < shares[-1] < 1
    assert all(doing for _, _, doing in told)

    def leave(done, total, _):
        if done / total > 0.3:
            raise LeftError

    with pytest.raises(LeftError):
        spectrum(array, progress=leave, **how)


def test_progress_is_told_at_every_block_of_a_large_matrix(monkeypatch):
    from weightsmith.analysis import matrix

    monkeypatch.setattr(matrix.row_blocks, "__defaults__", (2048,))
    told = []
    array = np.random.default_rng(0).normal(size=(512, 64)).astype(np.float32)
    spectrum(array, progress=lambda done, _, doing: told.append((done, doing)))
    assert len([doing for _, doing in told if doing.startswith("Products")]) == 512 * 64 // 2048
    assert told[-1][1] == "Eigenvalues of 64 x 64 in one piece"
