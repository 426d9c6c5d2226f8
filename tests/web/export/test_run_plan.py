"""What a saved run holds of gradients, of recording and of explanations, and what bounds these."""

import subprocess
import sys

import pytest

from weightsmith.train import train
from weightsmith.web.export import explain_plan

RECIPE = {
    "data": "digits",
    "model": {"name": "cnn", "channels": [4, 4], "hidden": 8},
    "budget": {"epochs": 1},
}

WITHOUT_TORCH = """
import sys, asyncio
from weightsmith.cli.app import main
sys.argv = ["weightsmith", "export", "latest", "--store", sys.argv[1], "-o", sys.argv[2]]
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert "torch" not in sys.modules
"""


@pytest.fixture
def trained(store, tmp_path):
    """The id of a run whose model can be asked."""
    pytest.importorskip("captum")
    train(RECIPE, store=tmp_path / "runs", progress=False)
    return next(iter(store.runs())).id


def test_all_that_was_recorded_is_kept(saved, trained, client):
    opened = saved(f"#/run/s0/{trained}")
    base = f"api/stores/s0/runs/{trained}"
    assert {f"{base}/gradients", f"{base}/series?name=recorder_share"} <= set(opened.addresses)
    for address in (f"{base}/gradients", f"{base}/series?name=recorder_share", f"{base}/explain"):
        assert opened.json(address) == client.get(f"/{address}").json()


def test_what_a_model_looks_at_is_kept_for_the_rows_that_are_shown(saved, trained, client):
    opened = saved(f"#/run/s0/{trained}?tab=explain&rows=7,3&target=2&wrong=1")
    base = f"api/stores/s0/runs/{trained}/explain"
    assert {f"{base}/rows?first=0&wrong={wrong}" for wrong in ("true", "false")} <= set(opened.addresses)
    first = ",".join(str(one["row"]) for one in opened.json(f"{base}/rows?first=0&wrong=false")["rows"][:6])
    methods = ("saliency", "integrated-gradients", "grad-cam")
    for rows in ("7%2C3", first.replace(",", "%2C")):
        for method in methods:
            for target in ("", "&target=2"):
                assert f"{base}/attribution?method={method}&rows={rows}{target}" in opened.addresses
    address = f"{base}/attribution?layer=convolutions.0&method=grad-cam&rows=7%2C3"
    assert opened.json(address) == client.get(f"/{address}").json()
    assert opened.json(f"{base}/maximized?layer=&units=0%2C1%2C2%2C3%2C4%2C5%2C6%2C7%2C8%2C9")["layer"] == ""
    images = [opened.json(one) for one in opened.addresses if "/filters?" in one]
    assert images
    assert {len(one["choices"]) for one in images} == {1}
    assert opened.saved.left_out == ()


def test_time_bounds_what_controls_choose(saved, trained, monkeypatch):
    monkeypatch.setattr(explain_plan, "MORE", 0.0)
    opened = saved(f"#/run/s0/{trained}")
    assert any("/attribution?" in one for one in opened.addresses)
    assert not any("target=" in one or "layer=convolutions" in one for one in opened.addresses)
    monkeypatch.setattr(explain_plan, "NEEDED", 0.0)
    assert not any("/explain" in one for one in saved(f"#/run/s0/{trained}").addresses)


def test_a_model_that_answers_too_late_is_left_out(saved, trained, monkeypatch):
    patience = explain_plan.Patience

    async def known(self, asked):
        return None if asked.segments[-1] == "rows" else await kept(self, asked)

    kept = patience.known
    monkeypatch.setattr(patience, "known", known)
    monkeypatch.setattr(explain_plan, "MORE", 0.0)  # what follows is of no matter here
    asked = {one.partition("?")[0].rpartition("/")[2] for one in saved(f"#/run/s0/{trained}").addresses}
    assert {"explain", "maximized"} <= asked
    assert not {"rows", "attribution"} & asked


def test_a_run_that_cannot_be_explained_costs_no_torch(store, tmp_path):
    writer = store.create_run(name="recorded", recipe=None, environment={}, weights=[])
    writer.finish("completed")
    store.close()
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "runs"), str(tmp_path / "out.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "loop of its own" in (tmp_path / "out.html").read_text(encoding="utf-8")
