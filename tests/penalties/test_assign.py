import pytest
import torch

from weightsmith.errors import InputError
from weightsmith.penalties import L1, L2, MaxNorm, Orthogonality, assign, loss_term

NAMES = ["encoder.0.weight", "encoder.1.weight", "head.weight"]


def test_one_or_several_for_all():
    assert assign(NAMES, L1(0.1)) == dict.fromkeys(NAMES, (L1(0.1),))
    assert assign(NAMES, [L1(0.1), MaxNorm(3)]) == dict.fromkeys(NAMES, (L1(0.1), MaxNorm(3)))
    assert assign(NAMES, ()) == {}


def test_the_first_pattern_that_matches_decides():
    assigned = assign(NAMES, {"encoder.1": L2(0.5), "encoder*": [L1(0.1)]})
    assert assigned == {"encoder.0.weight": (L1(0.1),), "encoder.1.weight": (L2(0.5),)}


def test_mistakes():
    with pytest.raises(
        InputError, match=r"pattern 'haed\.weight' matches no weight that is held back.*did you mean 'head"
    ):
        assign(NAMES, {"haed.weight": L1(0.1)})
    with pytest.raises(InputError, match=r"penalties for '\*' must be penalties such as L1\(1e-4\), got 0.1"):
        assign(NAMES, 0.1)
    with pytest.raises(InputError, match="must be penalties"):
        assign(NAMES, {"head*": "l1"})
    with pytest.raises(InputError, match="must be penalties"):
        assign(NAMES, L1)


def test_loss_term_is_the_sum():
    weights = [("a.weight", torch.ones(2, 3, requires_grad=True)), ("b.weight", torch.full((2, 2), -2.0))]
    total = loss_term(weights, {"a*": [L1(0.5), Orthogonality(0.1)], "*": L2(0.1)})
    expected = 0.5 * 6 + 0.1 * (2 * 9 + 2 * 4) + 0.05 * 16
    assert total.item() == pytest.approx(expected)
    total.backward()
    assert weights[0][1].grad is not None
    assert loss_term(weights, ()).item() == 0


def test_a_constraint_is_no_loss_term():
    with pytest.raises(InputError, match=r"MaxNorm.* has no loss term"):
        loss_term([("a", torch.ones(2, 2))], MaxNorm(1.0))
