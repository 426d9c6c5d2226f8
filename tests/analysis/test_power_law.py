import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from weightsmith.analysis import fit_power_law


def slow_fit(values):
    """Clauset, Shalizi and Newman's recipe, one start of the tail after the other."""
    values = np.sort(values)
    best = None
    for i in range(len(values) - 1):
        tail = values[i:]
        alpha = 1 + len(tail) / np.sum(np.log(tail / tail[0]))
        expected = 1 - (tail / tail[0]) ** (1 - alpha)
        distance = np.max(np.abs(expected - np.arange(len(tail)) / len(tail)))
        if best is None or distance < best[2]:
            best = (alpha, tail[0], distance, len(tail))
    return best


@pytest.mark.parametrize("alpha", [1.5, 2.5, 4.0, 9.0])
@pytest.mark.parametrize("count", [20, 300, 1100])
def test_agrees_with_the_recipe_step_by_step(alpha, count):
    rng = np.random.default_rng(count)
    values = rng.permutation(np.concatenate([1 + rng.pareto(alpha - 1, count // 2), rng.random(count - count // 2)]))
    found = fit_power_law(values)
    assert (found.alpha, found.xmin, found.distance, found.tail) == pytest.approx(slow_fit(values), rel=1e-9)
    assert found.sigma == pytest.approx((found.alpha - 1) / np.sqrt(found.tail))
    assert found.values == count


def test_finds_the_exponent_of_a_pure_power_law():
    values = 3 * (1 + np.random.default_rng(0).pareto(1.5, 20000))
    found = fit_power_law(values[:4000])
    assert found.alpha == pytest.approx(2.5, abs=4 * found.sigma)
    assert found.distance < 0.03


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_the_powerlaw_package():
    powerlaw = pytest.importorskip("powerlaw")
    values = np.concatenate([1 + np.random.default_rng(1).pareto(2.0, 200), np.random.default_rng(2).random(100)])
    theirs = powerlaw.Fit(values, verbose=False)
    found = fit_power_law(values)
    assert (found.alpha, found.xmin) == pytest.approx((theirs.power_law.alpha, theirs.xmin), rel=1e-6)


@given(
    hnp.arrays(np.float64, st.integers(8, 60), elements=st.floats(1e-3, 1e3), unique=True),
    st.floats(1e-3, 1e3),
)
def test_the_exponent_does_not_depend_on_the_unit(values, unit):
    one, other = fit_power_law(values), fit_power_law(values * unit)
    # Rounding may tip the choice between two starts that fit equally well, never how well the best one fits.
    assert one.distance == pytest.approx(other.distance, abs=1e-6) or one.values < 20
    assert 0 <= one.distance <= 1
    assert values.min() * 0.999 <= one.xmin < values.max()


def test_few_values_are_corrected_for_their_bias():
    values = 1 + np.random.default_rng(3).pareto(1.5, 12)
    found = fit_power_law(values)
    tail = values[values >= found.xmin * (1 - 1e-12)]
    assert len(tail) == found.tail >= 8
    assert found.alpha == pytest.approx(1 + (found.tail - 1) / np.sum(np.log(tail / tail.min())))


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(7), np.ones(50), np.arange(1.0, 8.0)])
def test_nothing_to_fit(values):
    assert fit_power_law(values) is None


def test_ties_do_not_break_the_fit():
    values = np.repeat([1.0, 2.0, 4.0, 8.0], [40, 20, 10, 5])
    found = fit_power_law(values)
    assert np.isfinite([found.alpha, found.distance]).all()
    assert found.xmin < 8
