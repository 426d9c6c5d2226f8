import copy

import numpy as np
import pytest
import torch
from torch import nn

from weightsmith import init, kinds, optim
from weightsmith.errors import InputError
from weightsmith.sources.module import describe, open_module

LAYERS = [
    nn.Linear(7, 5),
    nn.Conv2d(4, 6, 3, groups=2),
    nn.ConvTranspose2d(4, 6, 3, groups=2),
    nn.ConvTranspose1d(3, 4, 2),
]
layers = pytest.mark.parametrize(
    "layer", LAYERS, ids=["linear", "conv", "transposed with groups", "transposed of one dimension"]
)


def channels(layer):
    """Where in a layer's weight each output channel is."""
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        per_group = layer.in_channels // layer.groups
        for group in range(layer.groups):
            for channel in range(layer.out_channels // layer.groups):
                yield slice(group * per_group, (group + 1) * per_group), channel
    else:
        yield from range(layer.weight.shape[0])


def binarized(layer, **options):
    model = nn.Sequential(copy.deepcopy(layer))
    controller = kinds.binary(model, first_and_last="binary", **options)
    return model[0], controller


def original(layer):
    return layer.parametrizations.weight.original


@pytest.mark.parametrize("alphabet", ["signs", "bits"])
@pytest.mark.parametrize("scale", ["none", "tensor", "channel", "learned"])
@layers
def test_values_against_numpy(alphabet, scale, layer):
    latent = layer.weight.detach().numpy()
    found, _ = binarized(layer, alphabet=alphabet, scale=scale)
    values = np.where(latent >= 0, 1.0, -1.0 if alphabet == "signs" else 0.0)

    # least squares: the scale that brings the values closest to the latent weights, one output at a time
    if scale in ("channel", "learned"):
        expected = np.empty_like(latent)
        for index in channels(layer):
            v, w = values[index], latent[index]
            expected[index] = v * (v * w).sum() / max((v * v).sum(), 1)
    elif scale == "tensor":
        expected = values * (values * latent).sum() / (values * values).sum()
    else:
        expected = values
    np.testing.assert_allclose(found.weight.detach().numpy(), expected, rtol=1e-5, atol=1e-7)
    step = found.parametrizations.weight[0]
    scaled = values * step.factor(original(found)).detach().numpy()
    np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-7)


@layers
def test_a_learned_scale_has_one_number_a_channel_with_the_gradient_of_a_factor(layer):
    found, _ = binarized(layer, scale="learned")
    scales = found.parametrizations.weight[0].scales
    assert scales.shape == (len(list(channels(layer))),)
    weights = torch.randn(found.weight.shape, generator=torch.Generator().manual_seed(0))
    (found.weight * weights).sum().backward()
    signs = np.where(original(found).detach().numpy() >= 0, 1.0, -1.0)
    expected = [(weights.numpy() * signs)[index].sum() for index in channels(layer)]
    np.testing.assert_allclose(scales.grad.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_learned_scale_is_no_weight_to_decay_penalize_or_initialize(network):
    model = network()
    kinds.binary(model, scale="learned")
    name = "3.parametrizations.weight.0.scales"
    assert {info.name: info.role for info in describe(model)}[name] == "other"
    for optimizer in (optim.build(model, "adamw", weight_decay=0.1), optim.build(model, "adam", l1=0.1)):
        still = {each for group in optimizer.param_groups if not group["weight_decay"] for each in group["param_names"]}
        assert name in still
    optimizer = optim.build(model, "gradient_descent", l1=100.0)
    sum(parameter.sum() * 0 for parameter in model.parameters()).backward()
    before = model.get_parameter(name).detach().clone()
    optimizer.step()
    assert torch.equal(model.get_parameter(name), before)
    assert not model[0].weight.any()
    init.apply(model, "he_normal", seed=3)
    latent = original(model[3])
    torch.testing.assert_close(model.get_parameter(name), latent.abs().mean(1))


def test_an_assigned_weight_stays_where_gradients_reach_it():
    layer, _ = binarized(nn.Linear(4, 4), scale="learned")
    layer.weight = torch.full((4, 4), 3.0)
    assert torch.equal(original(layer), torch.ones(4, 4))
    assert torch.equal(layer.parametrizations.weight[0].scales, torch.full((4,), 3.0))


def test_the_gradient_is_clipped_by_default():
    layer, _ = binarized(nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        original(layer).copy_(torch.tensor([[-1.5, -1.0, 0.0, 2.0]]))
    layer(torch.tensor([[1.0, 2.0, 3.0, 4.0]])).sum().backward()
    torch.testing.assert_close(original(layer).grad, torch.tensor([[0.0, 2.0, 3.0, 0.0]]))
    assert layer.weight.tolist() == [[-1.0, -1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("given", "layer", "bound"),
    [
        (1.0, nn.Linear(4, 2), 1.0),
        (0.25, nn.Linear(4, 2), 0.25),
        (2, nn.Linear(4, 2), 2.0),
        ("none", nn.Linear(4, 2), None),
        ("glorot", nn.Linear(4, 2), (1.5 / 6) ** 0.5),
        ("glorot", nn.Conv2d(4, 6, (3, 2), groups=2), (1.5 / (2 * 6 + 6 * 6)) ** 0.5),
        ("glorot", nn.ConvTranspose2d(4, 6, 3, groups=2), (1.5 / (2 * 9 + 6 * 9)) ** 0.5),
    ],
)
def test_latent_weights_are_kept_within_their_bound(given, layer, bound):
    found, controller = binarized(layer, latent_bound=given)
    with torch.no_grad():
        original(found).mul_(1000)
    controller.step(0.5)
    largest = original(found).detach().abs().max().item()
    assert largest == pytest.approx(bound, rel=1e-6) if bound is not None else largest > 100


def test_glorots_bound_is_the_scaled_learning_rate_of_binaryconnect():
    """Under Adam, latent weights within 1/c at rate lr are those within 1 at rate c lr (BinaryConnect, section 2.5)."""
    scaled = nn.Linear(16, 8, bias=False)
    plain = copy.deepcopy(scaled)
    coefficient = (1.5 / 24) ** -0.5
    with torch.no_grad():
        plain.weight.mul_(coefficient)
    (scaled, first), (plain, second) = binarized(scaled, latent_bound="glorot"), binarized(plain)
    movers = [
        torch.optim.Adam([original(layer)], lr, eps=0) for layer, lr in ((scaled, 0.05), (plain, 0.05 * coefficient))
    ]
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(16, 8, generator=generator).sign()
    for _ in range(30):
        inputs = torch.randn(32, 16, generator=generator)
        wanted = 10 * inputs @ teacher
        for layer, controller, mover in ((scaled, first, movers[0]), (plain, second, movers[1])):
            mover.zero_grad()
            (layer(inputs) - wanted).square().mean().backward()
            mover.step()
            controller.step(0.0)
        torch.testing.assert_close(original(scaled) * coefficient, original(plain), rtol=1e-4, atol=1e-5)
    assert (original(plain).abs() == 1).any()


def test_first_and_last_stay_continuous_and_say_so(network):
    model = network()
    assert kinds.binary(model).describe() == [
        "0.weight: continuous, the model's first matrix stays continuous",
        "3.weight: binary, -1 and +1",
        "6.weight: continuous, the model's last matrix stays continuous",
    ]
    assert set(model[3].weight.unique().tolist()) == {-1.0, 1.0}
    assert len(model[0].weight.unique()) > 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alphabet": "bits", "scale": "channel"}, "0 and 1 times a scale per channel"),
        ({"scale": "learned"}, "-1 and +1 times a learned scale per channel"),
        ({"latent": False}, "-1 and +1, flipped without latent weights"),
        ({"stochastic": True}, "-1 and +1, drawn at random in training"),
        ({"estimator": "proximal"}, "-1 and +1, in training from 75% of it on"),
    ],
)
def test_the_description_says_how(network, options, said):
    assert f"3.weight: binary, {said}" in kinds.binary(network(), **options).describe()


def test_a_pattern_that_names_the_first_matrix_makes_it_binary(network):
    model = network()
    kinds.binary(model, include=["0.*", "3.weight"])
    assert set(model[0].weight.unique().tolist()) == {-1.0, 1.0}
    assert len(model[6].weight.unique()) > 2


def test_nothing_between_first_and_last():
    with pytest.raises(InputError, match="first_and_last='binary'"):
        kinds.binary(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))


# --- stochastic


def drawn(model):
    return model[3].weight.detach().clone()


def test_chances_are_those_of_the_hard_sigmoid():
    layer, controller = binarized(nn.Linear(5, 4000), stochastic=True, latent_bound=0.5)
    chances = torch.tensor([0.0, 0.1, 0.5, 0.8, 1.0])
    with torch.no_grad():
        original(layer).copy_(((2 * chances - 1) * 0.5).expand(4000, 5))
    shares = torch.zeros(5)
    for _ in range(10):
        controller.step(0.1)
        shares += (layer.weight > 0).float().mean(0) / 10
    assert shares[0] == 0
    assert shares[4] == pytest.approx(1, abs=1e-6)
    # five deviations of a share of 40,000 draws
    np.testing.assert_allclose(shares.detach().numpy(), chances.numpy(), atol=5 * 0.5 / 200)


def test_values_are_drawn_once_a_step_and_not_in_evaluation(network):
    model = network()
    controller = kinds.binary(model, stochastic=True)
    first = drawn(model)
    assert torch.equal(drawn(model), first)
    controller.step(0.1)
    assert not torch.equal(drawn(model), first)
    model.eval()
    likelier = torch.where(original(model[3]) >= 0, 1.0, -1.0)
    assert torch.equal(drawn(model), likelier)
    assert np.array_equal(open_module(model.train())["3.weight"].read(), likelier.numpy())


def test_chance_depends_on_the_seed_and_the_weights_name_alone(network):
    def sequence(seed, before):
        torch.manual_seed(before)
        model = network()
        controller = kinds.binary(model, stochastic=True, seed=seed)
        found = []
        for _ in range(3):
            controller.step(0.0)
            found.append(drawn(model))
        return torch.stack(found)

    assert torch.equal(sequence(1, 0), sequence(1, 5))
    assert not torch.equal(sequence(1, 0), sequence(2, 0))
    wide = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
    with torch.no_grad():
        wide[1].weight.copy_(wide[0].weight)
    kinds.binary(wide, stochastic=True, first_and_last="binary")
    assert not torch.equal(wide[0].weight, wide[1].weight)


# --- proximal


def test_proximal_weights_move_from_latent_to_binary(network):
    model = network()
    controller = kinds.binary(model, estimator="proximal", binary_from=0.5, scale="channel")
    latent = original(model[3]).detach().clone()
    binary = model.eval()[3].weight.detach().clone()
    assert torch.equal(binary.abs(), latent.abs().mean(1, keepdim=True).expand_as(latent))
    model.train()
    for progress, share in ((0.0, 0.0), (0.125, 0.25), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)):
        controller.step(progress)
        torch.testing.assert_close(model[3].weight, (1 - share) * latent + share * binary)
        assert torch.equal(model.eval()[3].weight, binary)
        model.train()
    assert torch.equal(model[3].weight, binary)


# --- activations


def test_activation_modules_become_binary(network, digits):
    model = network().eval()
    controller = kinds.binary(model, activations="binary", activation_estimator="reste")
    assert [type(model[index]) for index in (2, 5)] == [kinds.BinaryActivation] * 2
    assert not model[2].training
    assert set(model[:3](digits[0]).unique().tolist()) == {-1.0, 1.0}
    controller.step(0.5)
    assert [float(model[index].progress) for index in (2, 5)] == [0.5, 0.5]
    assert sorted(name for name in model.state_dict() if "progress" in name) == ["2.progress", "5.progress"]


def test_activations_that_users_placed_follow_the_training(network):
    model = network()
    model[2] = kinds.BinaryActivation("reste", exponent=2.0)
    kinds.binary(model).step(0.75)
    assert float(model[2].progress) == 0.75
    assert isinstance(model[5], nn.ReLU)


def test_a_model_without_activation_modules_is_told():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    with pytest.raises(InputError, match="Sequential has no activation module to make binary"):
        kinds.binary(model, activations="binary")
    assert "1.weight" in model.state_dict()


# --- options


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"estimator": "clip"}, "unknown estimator 'clip'.*did you mean 'clipped'"),
        ({"scale": "row"}, "scale"),
        ({"latent_bound": 0}, "latent_bound"),
        ({"latent_bound": True}, "latent_bound"),
        ({"latent_bound": "xavier"}, "latent_bound"),
        ({"stochastic": 1}, "stochastic"),
        ({"latent": None}, "latent"),
        ({"latent": False, "scale": "channel"}, "scale channel"),
        ({"latent": False, "estimator": "reste"}, "estimator reste"),
        ({"latent": False, "stochastic": True}, "stochastic"),
        ({"binary_from": 0.5}, "binary_from belongs to the estimator proximal"),
        ({"estimator": "proximal", "binary_from": 0}, "binary_from"),
        ({"estimator": "proximal", "binary_from": 1.1}, "binary_from"),
        ({"estimator": "proximal", "beta": 2.0}, "beta belongs to the estimator swish_sign"),
        ({"estimator": "reste", "exponent": 0.5}, "exponent"),
        ({"activations": "all"}, "activations"),
        ({"activation_estimator": "proximal"}, "activation_estimator"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_mistakes_are_named_and_change_nothing(network, options, named):
    model = network()
    keys = list(model.state_dict())
    with pytest.raises(InputError, match=named) as caught:
        kinds.apply(model, "binary", **options)
    assert "\n" not in str(caught.value)
    assert list(model.state_dict()) == keys
