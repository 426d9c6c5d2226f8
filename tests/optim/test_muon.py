import copy
import io

import pytest
import torch
from torch import nn

from weightsmith.optim import MuonWithAdamW


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def gradients(model, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_equals_the_two_optimizers_side_by_side():
    model, other = network(), network()
    joint = MuonWithAdamW(model.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9)
    matrices = [parameter for parameter in other.parameters() if parameter.ndim == 2]
    vectors = [parameter for parameter in other.parameters() if parameter.ndim != 2]
    muon = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.1, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW(vectors, lr=0.01, weight_decay=0.1)
    for seed in range(5):
        gradients(model, seed)
        gradients(other, seed)
        joint.step()
        muon.step()
        adamw.step()
    assert same(model, other)
    assert len(joint.state_dict()["param_groups"]) == 2


@pytest.mark.parametrize("way", ["state_dict", "deepcopy", "save"])
def test_copies_go_on_alike(way):
    model = network()
    optimizer = MuonWithAdamW(model.named_parameters(), lr=0.01)
    gradients(model, 0)
    optimizer.step()
    if way == "deepcopy":
        other, copied = copy.deepcopy((model, optimizer))
    elif way == "save":
        file = io.BytesIO()
        torch.save((model, optimizer), file)
        file.seek(0)
        other, copied = torch.load(file, weights_only=False)
    else:
        other = copy.deepcopy(model)
        copied = MuonWithAdamW(other.named_parameters(), lr=0.5)
        copied.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each, mover in ((model, optimizer), (other, copied)):
        gradients(each, 1)
        mover.step()
    assert same(model, other)
    assert copied.param_groups[0]["lr"] == 0.01


def test_schedulers_reach_both():
    model = network()
    optimizer = MuonWithAdamW(model.parameters(), lr=1.0)
    plan = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    gradients(model, 0)
    optimizer.step()
    plan.step()
    before = copy.deepcopy(model)
    gradients(model, 1)
    optimizer.step()
    assert same(model, before)


def test_groups_choose_and_are_added():
    model = network()
    optimizer = MuonWithAdamW([{"params": [model[0].weight], "algorithm": "adamw", "lr": 0.5}])
    optimizer.add_param_group({"params": [model[2].weight]})
    assert [group["algorithm"] for group in optimizer.param_groups] == ["adamw", "muon"]
    gradients(model, 0)
    before = model[2].weight.detach().clone()
    assert optimizer.step(lambda: torch.tensor(2.0)).item() == 2
    assert set(optimizer.state[model[0].weight]) >= {"exp_avg", "exp_avg_sq"}
    assert set(optimizer.state[model[2].weight]) == {"momentum_buffer"}
    assert not torch.equal(before, model[2].weight)
    optimizer.zero_grad()
    assert model[2].weight.grad is None
