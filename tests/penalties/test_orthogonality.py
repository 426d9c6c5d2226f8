import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from weightsmith.errors import InputError
from weightsmith.penalties import Orthogonality


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_distance_from_orthonormal(shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = weight.numpy() if shape[0] <= shape[1] else weight.numpy().T
    expected = 0.1 * np.linalg.norm(matrix @ matrix.T - np.eye(len(matrix)), "fro") ** 2
    assert Orthogonality(0.1).value(weight).item() == pytest.approx(expected)


def test_zero_at_an_orthogonal_matrix_and_minimal_there():
    weight = torch.from_numpy(ortho_group.rvs(6, random_state=0)).requires_grad_()
    value = Orthogonality(1.0).value(weight)
    value.backward()
    assert value.item() < 1e-20
    assert weight.grad.abs().max() < 1e-10


def test_gradient_descent_on_it_gives_orthonormal_filters():
    weight = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)).mul_(0.2).requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        Orthogonality(1.0).value(weight).backward()
        optimizer.step()
    matrix = weight.detach().flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(4), atol=1e-4, rtol=0)


def test_mistakes():
    with pytest.raises(InputError, match="Orthogonality strength"):
        Orthogonality(-1.0)
    with pytest.raises(InputError, match=r"at least 2 dimensions, got shape \(3,\)"):
        Orthogonality(1.0).value(torch.ones(3))
