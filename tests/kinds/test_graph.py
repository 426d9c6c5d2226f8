"""Graphs of models, compared with what is written in their forward methods."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from weightsmith import kinds
from weightsmith.errors import InputError
from weightsmith.kinds.graph import trace


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.second = nn.Linear(8, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs):
        hidden = F.relu(self.norm(self.first(inputs)), inplace=True)
        inputs = inputs + self.second(hidden)
        inputs += 1.0
        return self.head(torch.cat([inputs], dim=1))


def test_a_residual_block():
    graph = trace(Residual())
    assert [str(node) for node in graph.nodes] == [
        "the input",
        "first",
        "norm",
        "relu()",
        "second",
        "add()",
        "add()",
        "cat()",
        "head",
        "the output",
    ]
    first, second = graph.only_call("first"), graph.only_call("second")
    assert [str(node) for node in graph.chain(first)] == ["norm", "relu()", "second"]
    assert list(graph.chain(second)) == []
    assert [str(node) for node in second.users[0].inputs] == ["the input", "second"]
    assert first.inputs == (graph.nodes[0],)
    assert [str(node) for node in graph.nodes[0].users] == ["first", "add()"]
    assert graph.nodes[7].options == {"dim": 1}
    assert graph.nodes[7].arguments == ((graph.nodes[6],),)


@pytest.mark.parametrize("kind", [{"kind": "binary", "first_and_last": "binary"}, {"kind": "sparse", "sparsity": 0.5}])
def test_layers_of_a_kind_are_single_steps(kind):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    kinds.apply(model, **kind)
    assert [str(node) for node in trace(model).nodes] == ["the input", "0", "1", "2", "3", "the output"]


def test_one_layer_alone():
    graph = trace(nn.Linear(2, 3))
    assert [node.operation for node in graph.nodes] == ["input", "module", "output"]
    assert str(graph.nodes[1]) == "the model"


def test_a_module_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, inputs):
            return self.layer(self.layer(inputs))

    graph = trace(nn.DataParallel(Twice()))
    assert len(graph.calls("layer")) == 2
    assert graph.only_call("layer") is None


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, inputs):
        return self.inner(inputs) if inputs.sum() > 0 else inputs


class Odd(nn.Module):
    def forward(self, inputs):
        return inputs if inputs.sum() > 0 else -inputs


def test_what_cannot_be_traced_is_taken_in_order_or_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Odd(), nn.Linear(2, 2)))
    assert [str(node) for node in trace(model).nodes] == ["the input", "0", "1.0", "1.1", "the output"]
    with pytest.raises(InputError, match="Branching cannot be traced") as caught:
        trace(Branching())
    assert "\n" not in str(caught.value)
