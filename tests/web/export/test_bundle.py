"""What is in a saved view: the server's own answers, no more of others' affairs than it needs, within its budget."""

import re

import numpy as np
import pytest

from weightsmith.errors import InputError
from weightsmith.sources import write_safetensors
from weightsmith.web.export import weight_plan
from weightsmith.web.faults import UnknownError

LARGE = np.random.default_rng(3).normal(size=(1500, 1300)).astype(np.float32)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.safetensors"
    write_safetensors(path, {"layer.weight": LARGE})
    return path


@pytest.fixture
def no_time(monkeypatch):
    """None for the layouts that are not shown: of many rows they take long."""
    monkeypatch.setattr(weight_plan, "LAYOUTS", 0.0)


def tile(opened, address):
    headers = opened.entry(address)["headers"]
    return np.frombuffer(opened.bytes(address), "<f4").reshape(int(headers["X-Rows"]), int(headers["X-Columns"]))


def test_a_run_has_its_curves_layers_histograms_and_tables(saved, record, client):
    run = record()
    opened = saved(f"#/run/s0/{run}?tab=layers")
    base = f"api/stores/s0/runs/{run}"
    expected = {f"{base}/series?name=loss", f"{base}/layers?name=update_ratio", base, f"{base}/findings", "api/hello"}
    expected.add(f"{base}/explain")  # which says why this model cannot be asked
    expected |= {f"{base}/histograms?quantity=weight&weight=fc.{kind}" for kind in ("weight", "bias")}
    for step in (0, 1000):
        expected |= {f"api/sources/s0~{run}~{step}{end}" for end in ("", "/findings", "/statistics")}
    assert set(opened.addresses) == expected
    assert opened.saved.left_out == ()
    assert opened.facts["view"] == f"#/run/s0/{run}?tab=layers"
    assert opened.facts["views"] == [f"run/s0/{run}"]
    assert opened.saved.file_name == "first.html"
    for address in expected - {"api/hello"}:
        if not address.endswith("statistics"):  # those are events
            assert opened.json(address) == client.get(f"/{address}").json()
    events = opened.bytes(f"api/sources/s0~{run}~0/statistics").decode()
    assert re.findall("^event: (.*)$", events, re.MULTILINE) == ["weight", "weight", "done"]


def test_a_small_matrix_has_every_value_in_every_order(saved, weights_file, small):
    opened = saved("#/source/f0/weight/1", weights_file)
    base = "api/sources/f0/weights/1"
    np.testing.assert_array_equal(tile(opened, f"{base}/tiles/0/0/0"), small)
    orders = opened.json(f"{base}/order?columns=norm&rows=similarity")
    expected = small[orders["rows"]][:, orders["columns"]]
    np.testing.assert_array_equal(tile(opened, f"{base}/tiles/0/0/0?columns=norm&rows=similarity"), expected)
    assert sum("/tiles/" in address for address in opened.addresses) == 9
    assert {"spectrum", "correlation"} <= {address.rpartition("/")[2] for address in opened.addresses}
    assert sum("/embedding?" in address for address in opened.addresses) == 4


def test_an_answer_that_is_an_error_is_kept_as_one(saved, weights_file, no_time):
    opened = saved("#/source/f0/weight/0", weights_file)  # it holds NaN
    entry = opened.entry("api/sources/f0/weights/0/spectrum")
    assert entry["status"] == 400
    assert "\n" not in entry["json"]["error"]


def test_values_near_where_one_looks_come_before_others(saved, large, no_time):
    # All of it would be some 24 MB.
    opened = saved("#/source/f0/weight/0?at=1400,1200,30", large, megabytes=7)
    base = "api/sources/f0/weights/0/tiles"
    np.testing.assert_array_equal(tile(opened, f"{base}/0/5/4"), LARGE[1280:1500, 1024:1280])
    whole = LARGE[:1500, :1296].reshape(-1, 4, 324, 4).mean((1, 3))[:256, :256]
    np.testing.assert_allclose(tile(opened, f"{base}/2/0/0?statistic=mean"), whole, rtol=1e-4, atol=1e-6)
    assert f"{base}/0/0/0" not in opened.addresses
    assert "single values" in opened.saved.left_out
    assert {one.partition("?")[2] for one in opened.addresses if "/embedding?" in one} == {
        f"dimensions={dimensions}&method=pca" for dimensions in (2, 3)
    }
    assert len(opened.saved.html) <= 7_000_000
    assert opened.json("api/sources/f0/weights/0")["orders"] == {"rows": [], "columns": []}


def test_the_order_that_is_shown_is_kept_of_a_large_matrix(saved, large, no_time):
    opened = saved("#/source/f0/weight/0?rorder=norm&cell=3,4", large, megabytes=7)
    assert opened.json("api/sources/f0/weights/0")["orders"] == {"rows": ["norm"], "columns": []}
    order = opened.json("api/sources/f0/weights/0/order?rows=norm")["rows"]
    block = order.index(3) // 256  # the marked row stands elsewhere in the picture
    around = tile(opened, f"api/sources/f0/weights/0/tiles/0/{block}/0?rows=norm")
    np.testing.assert_array_equal(around, LARGE[order][256 * block : 256 * (block + 1), :256])


def test_a_comparison_is_kept_with_what_it_compares(saved, record, small):
    run = record()
    opened = saved(f"#/source/s0~{run}~0/weight/0?against=s0~{run}~1000&mode=difference")
    base = f"api/sources/s0~{run}~0/weights/0"
    against = f"against=s0~{run}~1000"
    np.testing.assert_array_equal(tile(opened, f"{base}/tiles/0/0/0?{against}&show=other"), small * 2)
    np.testing.assert_array_equal(tile(opened, f"{base}/tiles/0/0/0?{against}&show=difference"), -small)
    assert f"{base}/difference?{against}" in opened.addresses
    for asked in (f"{base}/counterparts", f"{base}/counterparts?also=s0~{run}~1000"):
        assert [(one["source"], one["group"]) for one in opened.json(asked)["counterparts"]] == [
            (f"s0~{run}~1000", "steps")
        ]


def test_others_affairs_stay_out(saved, record, weights_file, large):
    first, second, third = (record(name, lr) for name, lr in (("a", 0.1), ("b", 0.2), ("secret", 0.3)))
    opened = saved(f"#/compare?run=s0~{second}&run=s0~{first}", weights_file)
    assert [run["id"] for run in opened.json("api/runs")["runs"]] == [second, first]
    assert opened.json("api/hello")["files"] == []
    assert third not in str([opened.bytes(address) for address in opened.addresses])
    one = saved("#/source/f0/weight/1", weights_file, large)
    assert [file["id"] for file in one.json("api/hello")["files"]] == ["f0"]
    assert one.json("api/hello")["stores"] == []
    assert one.json("api/sources/f0/weights/1/counterparts") == {"counterparts": []}


def test_what_cannot_be_saved_is_one_line(saved, record, weights_file):
    for view in ("#/nothing", "#/source/f9", "#/run/s0/nothing", "#/source/f0/weight/99"):
        with pytest.raises(UnknownError):
            saved(view, weights_file)
    with pytest.raises(InputError):
        saved("#/source/f0/weight/x", weights_file)
    with pytest.raises(InputError, match="--budget"):
        saved(f"#/run/s0/{record()}", megabytes=0.21)
