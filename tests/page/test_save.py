"""Pictures saved as SVG: well-formed, harmless, made of shapes and text, and like the PNG of the same panel."""

import base64
import io
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

SVG = "{http://www.w3.org/2000/svg}"
AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
ALLOWED = {"svg", "title", "defs", "image", "clipPath", "g", "path", "rect", "circle", "text", "use"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & 'co'"


def parsed(path: Path) -> ElementTree.Element:
    """The root of a picture that holds nothing but shapes, texts and its own images."""
    root = ElementTree.fromstring(path.read_bytes())
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in ALLOWED
        assert not [name for name in element.attrib if name.startswith("on")]
        assert element.get("href", "#").startswith(("#", "data:image/png;base64,"))
    return root


def shapes(root: ElementTree.Element) -> Counter[str]:
    return Counter(element.tag.removeprefix(SVG) for element in root.iter())


@pytest.fixture
def rendered(browser: Any) -> Callable[[Path, int, int], np.ndarray]:
    """How Chromium shows a file as an image, at two pixels a pixel of the page: float[height, width, 3]."""
    from PIL import Image

    def render(path: Path, width: int, height: int) -> np.ndarray:
        kind = {".svg": "svg+xml", ".png": "png"}[path.suffix]
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=2)
        page = context.new_page()
        size = "zoom: 0.5" if path.suffix == ".png" else ""
        source = f"data:image/{kind};base64,{data}"
        page.set_content(f'<body style="margin:0"><img style="display:block; {size}" src="{source}">')
        assert page.evaluate("document.images[0].decode().then(() => document.images[0].naturalWidth)") > 0
        shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), dtype=float)
        context.close()
        return shown

    return render


def blurred(picture: np.ndarray, by: int = 8) -> np.ndarray:
    """Means over squares, in which the two ways to smooth an edge are the same."""
    height, width = picture.shape[0] // by, picture.shape[1] // by
    return picture[: height * by, : width * by].reshape(height, by, width, by, 3).mean(axis=(1, 3))


# The place, the panel, and what its picture is made of at least.
PANELS = {
    "curves": ("{run}", "Loss", {"path": 10, "text": 8}),
    "layers": ("{run}?tab=layers", "Update to weight ratio", {"image": 1, "text": 6}),
    "ridges": ("{run}?tab=histograms", "Values of hidden.0.weight over time", {"path": 8, "text": 5}),
    "bars": ("{run}?tab=histograms", "At one step", {"rect": 10, "text": 6}),
    "heat": (
        "{run}?tab=histograms&view=heat",
        "Values of hidden.0.weight over time",
        {"image": 1, "path": 5, "text": 8},
    ),
    "depth": ("#/source/{snapshot}?as=depth", "Weights", {"circle": 4, "text": 6}),
    "values": ("#/source/{snapshot}/weight/0", "Values", {"rect": 20, "text": 6}),
    "matrix": ("#/source/{snapshot}/weight/0?rows=3-9", "Matrix", {"image": 1, "rect": 20, "text": 3}),
    "points": ("#/source/{snapshot}/weight/0", "Neurons as points", {"circle": 30}),
    "correlation": ("#/source/{snapshot}/weight/0", "Correlation of rows", {"image": 1, "text": 3}),
    "spectrum": ("#/source/{snapshot}/weight/0", "Spectrum", {"circle": 20, "text": 8}),
    "filters": ("#/source/{snapshot}/weight/0", "Neurons as images", {"image": 20, "text": 20}),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PANELS)
def test_svg_is_made_of_shapes_and_looks_like_the_png(
    open_tab: Any, server: Any, rendered: Any, saved: Any, name: str, theme: str
) -> None:
    from PIL import Image

    run = server.run_named("first")
    step = max(one["step"] for one in server.get(f"api/stores/s0/runs/{run['id']}")["snapshots"])
    place, panel, least = PANELS[name]
    tab = open_tab(color_scheme=theme, device_scale_factor=2)
    page = tab.open(place.format(run=server.path_of("first"), snapshot=f"s0~{run['id']}~{step}"))
    tab.settle()
    if name == "bars":
        panel = page.get_by_role("region", name="At ").first.get_attribute("aria-label")
    if name == "matrix":
        tab.wait("document.querySelector('canvas.map')?.dataset.complete === 'true'")
    png, svg = (saved(page, panel, kind) for kind in ("PNG", "SVG"))
    root = parsed(svg)
    made_of = shapes(root)
    assert {kind: made_of[kind] for kind, amount in least.items() if made_of[kind] < amount} == {}
    with Image.open(png) as picture:
        width, height = picture.width // 2, picture.height // 2
    first, second = (blurred(rendered(path, width, height)) for path in (png, svg))
    away = np.abs(first - second).max(axis=2)
    assert away.mean() < 4, "mean difference of colors, of 255: cells of noise fall to either side of a pixel"
    assert (away > 40).mean() < 0.001, "share of the squares that look different"


def test_names_of_runs_stay_text_in_a_picture(
    server_of: Any, open_tab: Any, training: Any, saved: Any, tmp_path: Path
) -> None:
    own = server_of([tmp_path / "runs"])
    subprocess.run(training(tmp_path / "runs", HOSTILE, "budget.epochs=1"), check=True, capture_output=True)
    tab = open_tab(own.address)
    page = tab.open(own.path_of(HOSTILE))
    tab.settle()
    root = parsed(saved(page, "Loss", "SVG"))
    assert f"Loss · {HOSTILE}" in [text.text for text in root.iter(f"{SVG}text")]
    assert root.findtext(f"{SVG}title") == f"Loss · {HOSTILE}"


def test_the_menu_by_keyboard(tab: Any, server: Any, expect: Any) -> None:
    page = tab.open(server.path_of("first"))
    panel = page.get_by_role("region", name="Loss", exact=True)
    button = panel.get_by_role("button", name="Save", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_role("group", name="Save as").get_by_role("button")).to_have_count(3)
    if AXE.is_file():
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.evaluate("axe.run(document).then(found => found.violations.map(one => one.id))") == []
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("button", name="CSV")).to_be_focused()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(panel.get_by_role("group", name="Save as")).to_have_count(0)
