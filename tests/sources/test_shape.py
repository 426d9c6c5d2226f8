import numpy as np
import pytest

from weightsmith.sources.shape import MOST_AXES, is_possible


@pytest.mark.parametrize("shape", [(), (0,), (3, 4), (2**40, 0), (1,) * MOST_AXES, [2**55]], ids=range(6))
def test_possible_shapes_are_possible_to_numpy(shape):
    assert is_possible(shape)
    np.broadcast_to(np.float32(0), shape)


@pytest.mark.parametrize("shape", [(-1,), (2**62, 0), (2**30, 2**30, 0), (1,) * (MOST_AXES + 1)], ids=range(4))
def test_others_are_not(shape):
    assert not is_possible(shape)
