"""Files of many types to scan."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from weightsmith.kernels.count import SPAN
from weightsmith.sources import write_safetensors


def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    large = random.standard_normal(70 * SPAN + 13).astype(np.float32)
    large[[5, 9 * SPAN, 66 * SPAN]] = np.nan, np.inf, -np.inf
    wide = random.standard_normal((40, 300))
    wide[3, 7] = np.nan
    return {
        "embed.weight": large,
        "encoder.0.weight": random.standard_normal((64, 48)).astype(ml_dtypes.bfloat16),
        "encoder.0.bias": np.zeros(64, np.float32),
        "encoder.1.weight": (random.standard_t(3, (50, 60)) * 1e-3).astype(np.float32),
        "encoder.1.bias": random.standard_normal(50).astype(np.float16),
        "encoder.wide": wide,
        "head.scale": np.float32(2.5) * np.ones(1, np.float32),
        "head.codes": random.integers(-100, 100, (30, 30)).astype(np.int8),
        "head.ids": random.integers(-(2**40), 2**40, 77),
        "head.empty": np.zeros((0, 5), np.float32),
        "head.fp8": random.standard_normal(3000).astype(ml_dtypes.float8_e4m3fn),
    }


@pytest.fixture(scope="session")
def arrays() -> dict[str, np.ndarray]:
    return tensors()


@pytest.fixture(scope="session")
def model(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    write_safetensors(path, arrays)
    return path
