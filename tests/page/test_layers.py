"""A run's layers and curves: gradients through depth, flips and masks, verdicts, findings' steps, what it cost."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from weightsmith.store import Event, Store
from weightsmith.weight import WeightInfo

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
DEPTH, SIDE, STEPS = 6, 8, 400

ERRORS = {
    "interrupted": "StoppedError: stopped at step 400; resume it to go on",
    "failed": "BrokenError: The loss is NaN.",
}


def write(store: Store, name: str, fade: float, status: str = "completed", *, broken: bool = False) -> str:
    """A run of `DEPTH` layers whose gradients are `fade` times smaller with each layer towards the input."""
    infos = [WeightInfo(f"layer{i}.weight", (SIDE, SIDE), "float32", "linear") for i in range(DEPTH)]
    recipe = {"model": "mlp", "record": {"budget": 0.02}}
    writer = store.create_run(name=name, recipe=recipe, environment={}, weights=infos)
    steps = np.arange(1, STEPS + 1)
    wave = 1 + 0.5 * np.sin(steps / 9)
    series: dict[Any, Any] = {("loss", None): (steps, 2 / steps), ("val_loss", None): (steps[::40], wave[::40])}
    series["gradient_norm", None] = steps, wave
    series["recorder_share", None] = steps[::40], 0.5 / steps[::40]
    for i, info in enumerate(infos):
        series["gradient_norm", info.name] = steps, wave * fade ** (DEPTH - 1 - i)
        series["update_ratio", info.name] = steps, np.full(STEPS, 1e-3)
        series["flip_rate", info.name] = steps, np.where(steps < 200, 0.01 * (i + 1), 0.0)
        series["gradient_non_finite", info.name] = [77], [float(broken and i == 3)]
        series["norm", info.name] = [1, 100, 300], [1.0, np.nan if broken and i == 3 else 1.5, 2.0]
        series["mask_churn", info.name] = steps[::100], np.full(4, 0.25)
    verdicts = [
        Event(40, "verdict", {"verdict": "healthy", "since": 40, "evidence": {}, "text": "All is well."}),
        Event(320, "verdict", {"verdict": "overfitting", "since": 130, "evidence": {}, "text": "It <b>rises</b>."}),
    ]
    writer.write(series=series, events=verdicts)
    cost = {
        "budget": 0.02,
        "share": 0.031,
        "setup": 0.1,
        "training": 2.0,
        "seconds": {"writing": 0.05, "scalars": 0.01},
    }
    counts = {"steps": STEPS, "measured": 100, "sketched": 5, "snapshots": 0, "snapshot_bytes": 0}
    writer.set_summary({"steps": STEPS, "recorder": cost | counts})
    writer.finish(status, ERRORS.get(status))  # type: ignore[arg-type]
    return writer.id


@pytest.fixture(scope="module")
def runs(lasting_server_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a store to which every test adds runs of its own."""
    return lasting_server_of([tmp_path_factory.mktemp("layers") / "runs"])


@pytest.fixture
def opened(runs: Any, open_tab: Callable[..., Any]) -> Callable[..., Any]:
    """Opens a new run of the test's own."""

    def go(
        fade: float = 1.0,
        parameters: str = "tab=layers",
        status: str = "completed",
        broken: bool = False,
        **options: Any,
    ) -> Any:
        with Store.open(runs.what[0]) as store:
            run = write(store, "deep", fade, status, broken=broken)
        tab = open_tab(runs.address, **options)
        tab.open(f"#/run/s0/{run}?{parameters}")
        tab.settle()
        return tab

    return go


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_gradients_that_vanish_are_told_from_healthy_ones(opened: Any, expect: Any, saved: Any) -> None:
    page = opened(1.0).page
    flow = page.get_by_role("region", name="Gradient flow", exact=True)
    expect(flow.locator(".verdict")).to_have_text("healthy")
    expect(flow.get_by_role("status")).to_contain_text("Alike in all 6 layers")
    page = opened(0.1).page
    flow = page.get_by_role("region", name="Gradient flow", exact=True)
    expect(flow.locator(".verdict")).to_have_text("vanishing in 2 of 6")  # those over 1000 times below the last
    expect(flow.get_by_role("status")).to_have_text(
        "layer0.weight gets 100,000 times less gradient per value than layer5.weight."
    )
    expect(flow.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"layer0\.weight .*\(vanishing\)"))
    rows = table(saved(page, "Gradient flow", "CSV"))
    wave = 1 + 0.5 * np.sin(np.arange(1, STEPS + 1) / 9)
    for i, row in enumerate(rows):
        low, middle, high = np.quantile(wave, [0.05, 0.5, 0.95]) * 0.1 ** (DEPTH - 1 - i) / SIDE
        np.testing.assert_allclose([float(row[key]) for key in ("low", "median", "high")], [low, middle, high], 1e-6)
        assert row["state"] == ("vanishing" if i < 2 else "healthy")
    page.get_by_role("button", name="Norm", exact=True).click()
    last = table(saved(page, "Gradient flow", "CSV"))[-1]
    assert float(last["median"]) == pytest.approx(float(rows[-1]["median"]) * SIDE)


def test_gradients_are_those_of_the_step_that_the_slider_shows(opened: Any, saved: Any) -> None:
    wave = 1 + 0.5 * np.sin(np.arange(1, STEPS + 1) / 9)
    for step in (14, 43):
        tab = opened(1.0, f"tab=layers&step={step}")
        now = float(table(saved(tab.page, "Gradient flow", "CSV"))[0]["now"])
        near = wave[step - 3 : step + 2] / SIDE  # a column is the mean of one or two steps
        assert near.min() <= now <= near.max()


def test_flips_and_masks_are_shown_as_heat_and_as_curves(opened: Any, expect: Any) -> None:
    tab = opened()
    page = tab.page
    flips = page.get_by_role("region", name="Flip rate", exact=True)
    heat = flips.locator("canvas").first
    heat.hover(position={"x": 190, "y": 26 * 2.5})
    expect(flips.get_by_role("status")).to_have_text(re.compile(r"layer2\.weight · step \d+ · 3 %"))
    heat.hover(position={"x": heat.bounding_box()["width"] - 90, "y": 26 * 2.5})
    expect(flips.get_by_role("status")).to_have_text(re.compile(r"layer2\.weight · step \d+ · 0 %"))
    page.get_by_role("button", name="Curves", exact=True).click()
    assert tab.parameters["as"] == "lines"
    churn = page.get_by_role("region", name="Mask churn", exact=True)
    expect(churn.locator("[data-line]")).to_have_text(["25"] * DEPTH)
    expect(churn.locator(".panel-note")).to_have_text("in %")
    page.reload()
    expect(page.get_by_role("region", name="Flip rate", exact=True).locator("[data-line]")).to_have_text(["0"] * DEPTH)


def test_what_the_monitor_said_is_below_the_loss_and_marks_its_step(opened: Any, expect: Any) -> None:
    tab = opened(1.0, "")
    page = tab.page
    said = page.get_by_role("region", name="What the monitor said").get_by_role("listitem")
    expect(said).to_have_count(2)
    expect(said.first).to_contain_text("overfitting")
    expect(said.first).to_contain_text("Since step 130. It <b>rises</b>.")
    said.first.get_by_role("button", name="Step 320").press("Enter")
    assert tab.parameters == {"step": "320"}
    page.get_by_role("link", name="Layers").click()  # the step goes along
    expect(page.get_by_role("group", name="Step of all panels").locator("output")).to_have_text("320")
    page.get_by_role("link", name="Curves").click()
    page.get_by_title("Take the mark away").click()
    assert tab.parameters == {}


def test_the_step_of_a_finding_leads_to_where_it_is_seen(opened: Any, expect: Any) -> None:
    tab = opened(1.0, "tab=findings", broken=True)
    page = tab.page
    place = page.locator(".place").filter(has_text="It <b>rises</b>.")
    place.get_by_role("link", name="step 130").click()
    expect(page.get_by_title("Take the mark away")).to_contain_text("Step 130")
    expect(page.locator(".tabs a[aria-current]")).to_have_text("Curves")
    assert tab.parameters == {"step": "130"}
    page.get_by_role("link", name="Findings").click()
    page.locator(".place").filter(has_text="layer3.weight").get_by_role("link", name="step 77").click()
    expect(page.get_by_role("group", name="Step of all panels").locator("output")).to_have_text("77")


def test_what_recording_cost_and_left_out_is_said(opened: Any, expect: Any) -> None:
    page = opened(1.0, "tab=recipe").page
    cost = page.get_by_role("region", name="What recording cost")
    expect(cost).to_contain_text("100 of 400")
    expect(cost).to_contain_text("At 300 steps (75 %) weights and gradients were not measured")
    expect(cost.locator("[data-line]")).to_have_text([f"{100 * 0.5 / 361:.4g}", "2"])


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_how_a_run_broke_off_is_said_without_the_name_of_an_exception(opened: Any, expect: Any, status: str) -> None:
    page = opened(1.0, "", status).page
    heading = page.locator(".heading")
    expect(heading).not_to_contain_text("Error")
    if status == "failed":
        expect(heading.get_by_role("alert")).to_contain_text("The loss is NaN.")
    else:
        expect(heading).to_contain_text(
            "This run was interrupted: stopped at step 400. Go on with it: weightsmith train"
        )
        expect(heading.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("parameters", ["tab=layers&step=130", "tab=layers&as=lines", "step=130", "tab=recipe"])
def test_no_barriers(opened: Any, theme: str, parameters: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (npm ci in ui/)")
    page = opened(0.1, parameters, "interrupted", color_scheme=theme).page
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [(one["id"], [node["html"][:160] for node in one["nodes"]][:3]) for one in found["violations"]]
    assert faults == [], json.dumps(faults, indent=1)


ALARM = [0xC2, 0x18, 0x7E]


def test_a_layer_that_became_nan_does_not_look_healthy(opened: Any, saved: Any) -> None:
    page = opened(1.0, broken=True, color_scheme="light").page
    rows = table(saved(page, "Weight norm", "CSV"))
    assert [[row[column] for column in ("1", "100", "300")] for row in rows] == [
        ["1", "NaN" if place == 3 else "1.5", "2"] for place in range(DEPTH)
    ]
    picture = page.get_by_role("img", name="Weight norm: layers by steps")
    pixels = picture.evaluate(
        """canvas => [2, 3, 4].map(row => {
            const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
            const [x, y] = [box.width / 2, (row + 0.5) * 26];
            return [...canvas.getContext("2d").getImageData(x * ratio, y * ratio, 1, 1).data];
        })"""
    )
    assert [pixel[:3] == ALARM for pixel in pixels] == [False, True, False]
