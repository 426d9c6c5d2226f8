import torch

import weightsmith as ws


def found(run, code):
    return [finding.weight for finding in ws.check(run, select=[code])]


def test_an_ordinary_rate_is_neither_too_large_nor_too_small(train, mlp):
    run = train(mlp(), lr=0.05)
    assert found(run, "WS103") == found(run, "WS104") == []


def test_too_large_a_rate_changes_weights_by_much_of_themselves(train, mlp):
    model = mlp()
    run = train(model, optimizer=torch.optim.Adam(model.parameters(), lr=0.5), steps=10)
    assert "2.weight" in found(run, "WS103")


def test_too_small_a_rate_leaves_weights_where_they_were(train, mlp):
    run = train(mlp(), lr=1e-7)
    assert found(run, "WS104") == ["0.weight", "2.weight", "4.weight"]


def test_frozen_weights_are_left_alone(train, mlp):
    model = mlp()
    model[0].weight.requires_grad_(False)
    assert "0.weight" not in found(train(model, lr=0.05), "WS104")


def test_biases_which_start_at_zero_are_not_judged(train, mlp):
    assert all(name.endswith("weight") for name in found(train(mlp(), lr=1e-7), "WS104"))
