import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.penalties import Feature, Zeros, count_zeros, rank_features


def test_zeros_of_a_model():
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, -0.0, 1.0], [torch.nan, 2.0, 0.0]]))
        model.bias.zero_()
    weight, bias = count_zeros(model.named_parameters())
    assert weight == Zeros("weight", 6, 3)
    assert weight.share == 0.5
    assert bias.share == 1
    assert count_zeros([("empty", np.zeros((0, 3))), ("scalar", np.float32(0.0))])[0].share == 0


def test_features_by_importance():
    weight = np.array([[0.0, 3.0, 0.0, 1.0], [0.0, 4.0, -0.0, 0.0]], np.float32)
    assert rank_features(weight, ["age", "income", "height", "weight"]) == [
        Feature(1, "income", 5.0, True),
        Feature(3, "weight", 1.0, True),
        Feature(0, "age", 0.0, False),
        Feature(2, "height", 0.0, False),
    ]
    assert [feature.name for feature in rank_features(torch.from_numpy(weight))] == ["1", "3", "0", "2"]


def test_channels_of_a_convolution():
    weight = torch.zeros(4, 3, 5, 5, dtype=torch.bfloat16)
    weight[2, 1, 0, 0] = 2
    first, *others = rank_features(weight)
    assert first == Feature(1, "1", 2.0, True)
    assert [other.survives for other in others] == [False, False]


def test_nan_comes_first():
    assert rank_features(np.array([[5.0, np.nan, 1.0]]))[0].index == 1


def test_mistakes():
    with pytest.raises(InputError, match="4 columns, 2 names"):
        rank_features(np.zeros((2, 4)), ["a", "b"])
    with pytest.raises(InputError, match="at least 2 dimensions"):
        rank_features(np.zeros(4))
