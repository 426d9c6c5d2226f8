import pytest
import torch

from weightsmith import penalties
from weightsmith.penalties import PENALTIES, GroupLasso, LossTerm, MaxNorm, Proximable

EXAMPLES = {
    "l1": penalties.L1(0.1),
    "l2": penalties.L2(0.1),
    "elastic_net": penalties.ElasticNet(0.1, 0.1),
    "group_lasso": GroupLasso(0.1),
    "max_norm": MaxNorm(1.0),
    "orthogonality": penalties.Orthogonality(0.1),
}


def test_table_and_package_hold_the_same_penalties():
    assert set(PENALTIES) == set(EXAMPLES)
    assert {type(example) for example in EXAMPLES.values()} == {info.penalty for info in PENALTIES.values()}


@pytest.mark.parametrize("name", PENALTIES)
def test_each_does_what_the_table_says(name):
    info, example = PENALTIES[name], EXAMPLES[name]
    assert isinstance(example, info.penalty)
    assert info.loss_term == isinstance(example, LossTerm)
    assert info.proximal == isinstance(example, Proximable)
    assert info.summary
    assert info.reference[-4:].isdecimal()


@pytest.mark.parametrize("name", [name for name, info in PENALTIES.items() if info.loss_term])
def test_loss_terms_are_differentiable_scalars(name):
    weight = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert EXAMPLES[name].value(weight).shape == ()
    assert torch.autograd.gradcheck(EXAMPLES[name].value, (weight,))


@pytest.mark.parametrize("name", [name for name, info in PENALTIES.items() if info.proximal])
@pytest.mark.parametrize("step", [0.5, torch.linspace(0.1, 1, 12, dtype=torch.float64).view(3, 4)])
def test_proximal_steps_are_firmly_nonexpansive_in_their_metric(name, step):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, b = 2 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
        u, v = a.clone(), b.clone()
        EXAMPLES[name].proximal_(u, step)
        EXAMPLES[name].proximal_(v, step)
        assert ((u - v) ** 2 / step).sum() <= ((u - v) * (a - b) / step).sum() + 1e-12


def test_penalties_are_values():
    assert penalties.L1(0.1) == penalties.L1(0.1)
    assert hash(MaxNorm(1.0)) == hash(MaxNorm(1.0))
    with pytest.raises(AttributeError):
        penalties.L1(0.1).strength = 0.2
