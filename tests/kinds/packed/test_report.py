import numpy as np
import pytest
import torch
from torch import nn

from weightsmith.errors import InputError
from weightsmith.kinds import pack
from weightsmith.kinds.packed.report import compare, measure_packed


def model():
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 3)).eval()
    with torch.no_grad():
        made[0].weight.copy_(torch.sign(made[0].weight) / 8)
    return made


def measured(rows=20, **options):
    dense = model()
    packed = pack(dense, measure=False)
    return measure_packed(dense, packed, torch.randn(rows, 40), file_bytes=999, **options)


def test_everything_is_measured():
    seen = []
    score = {True: 0.75, False: 0.5}
    report = measured(
        batches=(1, 3),
        score=lambda module: score[isinstance(module[0], nn.Linear)],
        metric="accuracy",
        progress=lambda done, total, following: seen.append((done, total, following)),
    )
    assert report.scores == {"trained": 0.75, "packed": 0.5}
    assert [timing.batch for timing in report.whole] == [1, 3]
    (layer,) = report.layers
    assert (layer.weight, layer.layer, layer.format) == ("0.weight", "BinaryLinear", "binary")
    assert (layer.shape, layer.dense) == ((32, 40), 4 * 32 * 40)
    assert [timing.batch for timing in layer.timings] == [1, 3]
    assert layer.resident < layer.dense / 8
    for timing in (*report.whole, *layer.timings):
        assert set(timing.seconds) == {"float32", "bfloat16", "packed"}
        assert all(0 < seconds < 5 for seconds in timing.seconds.values())
        assert timing.speedup() == timing.seconds["float32"] / timing.seconds["packed"]
    weights = sum(parameter.numel() for parameter in model().parameters())
    assert report.disk == {"float32": 4 * weights, "bfloat16": 2 * weights, "packed": 999}
    assert report.resident["float32"] == 4 * weights
    assert report.resident["packed"] == layer.resident + 4 * (weights - 32 * 40)
    assert report.parity.rows == 20
    assert report.parity.difference < 1e-5
    assert report.parity.changed == 0
    assert [done for done, _, _ in seen] == list(range(len(seen)))
    assert seen[-1][0] == seen[-1][1] - 1
    assert report.to_json()["layers"][0]["timings"][1]["batch"] == 3


def test_batches_larger_than_the_rows_repeat_them():
    assert measured(rows=2, batches=(5,)).whole[0].batch == 5


def test_differences_are_told():
    rows = torch.eye(4)
    same = nn.Linear(4, 3)
    assert compare(same, same, rows).exact
    other = nn.Linear(4, 3)
    other.load_state_dict(same.state_dict())
    with torch.no_grad():
        other.weight[:, 1] = torch.tensor([50.0, 0.0, 0.0])
        same.weight[:, 1] = torch.tensor([0.0, 50.0, 0.0])
    found = compare(same, other, rows)
    assert not found.exact
    assert (found.changed, found.rows) == (1, 4)
    assert found.difference == pytest.approx(50)
    assert found.largest == pytest.approx(50, abs=1)


def test_nan_where_both_have_it_is_no_difference_and_elsewhere_is():
    broken, whole = nn.Linear(2, 2), nn.Linear(2, 2)
    whole.load_state_dict(broken.state_dict())
    with torch.no_grad():
        broken.weight[0, 0] = float("nan")
    assert compare(broken, broken, torch.ones(1, 2)).exact
    found = compare(whole, broken, torch.ones(1, 2))
    assert not found.exact
    assert np.isinf(found.difference)


def test_nothing_cannot_be_measured():
    with pytest.raises(InputError, match="one row at least"):
        measured(rows=0)
    with pytest.raises(InputError, match="one row at least"):
        measured(batches=(0,))
