"""The loop itself, as compiled for each kind of processor, against a lookup with NumPy."""

import subprocess
import sys

import numpy as np
import pytest
from numba.core.registry import cpu_target

from weightsmith.kernels import binary_sweep
from weightsmith.kernels.binary_sweep import sweep

FEATURES = cpu_target.target_context.codegen().magic_tuple()[2]


def case(points=5, tiles=7, count=19):
    """Tables in any order, shared by points, and sums that are not zero before."""
    random = np.random.default_rng(0)
    tables = random.standard_normal((200, 16)).astype(np.float32)
    bases = random.integers(0, 40, points) * 16
    offsets = random.integers(0, 160, 8 * count) * 16
    words = random.integers(0, 2**32, (tiles, count + 2, 16), np.uint32)
    return tables, bases, offsets, words, random.standard_normal((tiles, points, 16)).astype(np.float32)


def swept(best, tables, bases, offsets, words, sums):
    sums = sums.copy()
    stride = words.shape[1] * 16
    sweep(best, tables.reshape(-1), bases, offsets, words.reshape(-1), sums, 16, stride, offsets.size // 8)
    return sums


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 19), (4, 4, 16), (9, 3, 33), (3, 8, 2)])
@pytest.mark.parametrize("best", [False, True])
def test_sums_are_those_of_a_lookup(shape, best):
    if best and not binary_sweep.fast():
        pytest.skip("this processor has no permutation")
    tables, bases, offsets, words, sums = case(*shape)
    nibbles = words[:, 1 : 1 + shape[2], None, :] >> np.arange(0, 32, 4, dtype=np.uint32)[:, None] & np.uint32(15)
    nibbles = nibbles.reshape(len(words), -1, 16)
    rows = (bases[:, None] + offsets) // 16
    expected = sums + np.stack([tables[rows[:, :, None], part].sum(axis=1, dtype=np.float64) for part in nibbles])
    np.testing.assert_allclose(swept(best, tables, bases, offsets, words, sums), expected, rtol=0, atol=2e-5)


def test_a_processor_with_avx2_alone_gives_the_same_bits(tmp_path):
    """Compiled for such a processor, in a process of its own."""
    if "+avx512f" not in FEATURES:
        pytest.skip("the path of this processor is the one that all other tests take")
    given_ = case()
    np.savez(tmp_path / "case.npz", *given_, found=swept(True, *given_))
    program = """if True:
        import sys, numpy as np
        from weightsmith.kernels import binary_sweep
        assert binary_sweep.fast() and not binary_sweep._WIDE
        case = np.load(sys.argv[1])
        tables, bases, offsets, words, sums = (case[f"arr_{i}"] for i in range(5))
        stride, count = words.shape[1] * 16, offsets.size // 8
        binary_sweep._sweep_fast(tables.reshape(-1), bases, offsets, words.reshape(-1), sums, 16, stride, count)
        assert np.array_equal(sums, case["found"])
    """
    features = FEATURES.replace("+avx512", "-avx512").replace("+evex512", "-evex512")
    environment = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": features}
    subprocess.run([sys.executable, "-c", program, tmp_path / "case.npz"], check=True, env=environment, timeout=200)


@pytest.mark.parametrize("best", [False, True])
def test_positions_beyond_two_to_the_31_are_right(best):
    """Untouched pages of the huge array take no memory."""
    tables, bases, offsets, words, sums = case()
    try:
        huge = np.zeros(2**31 + words.size, np.uint32)
    except MemoryError:
        pytest.skip("the system does not lend that much address space")
    huge[2**31 :] = words.reshape(-1)
    found = sums.copy()
    best = best and binary_sweep.fast()
    sweep(best, tables.reshape(-1), bases, offsets, huge, found, 2**31 + 16, words.shape[1] * 16, offsets.size // 8)
    np.testing.assert_array_equal(found, swept(best, tables, bases, offsets, words, sums))
