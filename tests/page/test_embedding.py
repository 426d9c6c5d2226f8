"""Neurons as points: where they lie in two and three dimensions, looking around, and marking their rows."""

import re
from typing import Any

import numpy as np
import pytest

WEIGHT = "#/source/f0/weight/0"
HEIGHT, PAD, AWAY = 300, 14, 3.4


def points(server: Any, dimensions: int) -> np.ndarray:
    """float64[700, dimensions], as the server lays them out; every row of the file has one."""
    answer = server.get(f"api/sources/f0/weights/0/embedding?dimensions={dimensions}")
    assert answer["rows"] == list(range(700))
    return np.array(answer["points"])


def flat(laid: np.ndarray, width: float) -> np.ndarray:
    """Where they lie on the canvas when all are seen."""
    span = np.ptp(laid, axis=0)
    scale = min((width - 2 * PAD) / span[0], (HEIGHT - 2 * PAD) / span[1])
    middle = (laid.max(axis=0) + laid.min(axis=0)) / 2
    return np.array([width / 2, HEIGHT / 2]) + (laid - middle) * scale * [1, -1]


def solid(laid: np.ndarray, width: float, around: float, above: float) -> tuple[np.ndarray, np.ndarray]:
    """The same seen from an angle, by an eye and the directions to its right and above; and how far each is from it."""
    half = np.ptp(laid, axis=0) / 2
    centered = (laid - (laid.max(axis=0) + laid.min(axis=0)) / 2) / np.linalg.norm(half)
    a, e = np.radians(around), np.radians(above)
    eye = AWAY * np.array([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0])
    up = np.cross(right, -eye / AWAY)
    distance = (eye - centered) @ eye / AWAY
    reach = (min(width, HEIGHT) / 2 - PAD) * np.sqrt(AWAY**2 - 1)  # the unit sphere just fits
    seen = np.stack([centered @ right, -(centered @ up)], axis=1) / distance[:, None]
    return np.array([width / 2, HEIGHT / 2]) + seen * reach, distance


def lone(places: np.ndarray) -> int:
    """The point that is farthest from its nearest neighbor: pointing at it can mean no other."""
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return int(apart.min(axis=1).argmax())


@pytest.fixture
def opened(tab: Any) -> Any:
    """Opens the panel in a tab and says where its canvas is."""

    def open_panel(parameters: str) -> tuple[Any, dict[str, float]]:
        page = tab.open(f"{WEIGHT}?{parameters}")
        tab.settle()
        panel = page.get_by_role("region", name="Neurons as points")
        canvas = panel.get_by_role("application")
        canvas.scroll_into_view_if_needed()
        return panel, canvas.bounding_box()

    return open_panel


def test_points_in_two_dimensions_lie_where_they_are(opened: Any, server: Any, expect: Any, tab: Any) -> None:
    panel, box = opened("")
    laid = points(server, 2)
    places = flat(laid, box["width"])
    row = lone(places)
    x, y = box["x"] + places[row][0], box["y"] + places[row][1]
    tab.page.mouse.move(x, y)
    expect(panel.get_by_role("status").last).to_have_text(re.compile(rf"^neuron {row} at "))
    expect(panel.get_by_test_id("glance")).to_contain_text(f"neuron {row}")
    expect(panel.get_by_test_id("glance")).to_contain_text("1,024 of 1,100 weights")
    # Zooming keeps what lies under the pointer there, also for whoever is sent the address.
    tab.page.mouse.wheel(0, -300)
    expect(panel.get_by_role("status").last).to_have_text(re.compile(rf"^neuron {row} at "))
    tab.page.mouse.click(x, y)
    assert tab.parameters["rows"] == str(row)
    look = tab.parameters["look"]
    assert float(look.split(",")[2]) == pytest.approx(np.exp(0.66), rel=1e-3)
    again, box = opened(f"look={look}")
    tab.page.mouse.move(box["x"] + places[row][0], box["y"] + places[row][1])
    expect(again.get_by_role("status").last).to_have_text(re.compile(rf"^neuron {row} at "))


def test_points_in_three_dimensions_lie_where_they_are_seen(opened: Any, server: Any, expect: Any, tab: Any) -> None:
    panel, box = opened("dimensions=3&look=130,-25,1")
    places, _ = solid(points(server, 3), box["width"], 130, -25)
    row = lone(places)
    tab.page.mouse.move(box["x"] + places[row][0], box["y"] + places[row][1])
    expect(panel.get_by_role("status").last).to_have_text(re.compile(rf"^neuron {row} at "))
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + places[row][0] + 40, box["y"] + places[row][1] + 20, steps=4)
    tab.page.mouse.up()
    around, above, zoom = map(float, tab.parameters["look"].split(","))
    assert (around, above, zoom) == pytest.approx((110, -15, 1))
    assert "rows" not in tab.parameters
    # A box that is drawn with shift marks what is seen in it.
    places, _ = solid(points(server, 3), box["width"], around, above)
    left, right = np.median(places[:, 0]) - 8, np.median(places[:, 0]) + 8
    tab.page.keyboard.down("Shift")
    tab.page.mouse.move(box["x"] + left, box["y"] + 5)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + right, box["y"] + HEIGHT - 5, steps=4)
    tab.page.mouse.up()
    tab.page.keyboard.up("Shift")
    ends = [[int(end) for end in part.split("-")] for part in tab.parameters["rows"].split(",")]
    marked = {row for part in ends for row in range(part[0], part[-1] + 1)}
    # Browsers round where a pointer is to whole pixels.
    inside = np.minimum(places - [left, 5], [right, HEIGHT - 5] - places).min(axis=1)
    sure, maybe = (set(np.flatnonzero(inside > least).tolist()) for least in (1, -1))
    assert len(sure) > 5
    assert sure <= marked <= maybe


def test_looking_around_with_keys(opened: Any, expect: Any, tab: Any) -> None:
    panel, _ = opened("dimensions=3&method=pca")
    panel.get_by_role("application").focus()
    keyboard = tab.page.keyboard
    for key in ("ArrowRight", "+", "+"):
        keyboard.press(key)
    assert [float(part) for part in tab.parameters["look"].split(",")] == pytest.approx([75, 20, 2.56])
    keyboard.press("0")
    assert "look" not in tab.parameters
    keyboard.press("Shift+ArrowRight")
    keyboard.press("Shift+ArrowRight")
    expect(panel.get_by_role("status").last).to_have_text(re.compile(r"^neuron 1 at "))
    keyboard.press("Enter")
    assert tab.parameters["rows"] == "1"
    panel.get_by_role("button", name="2-D").click()
    assert "dimensions" not in tab.parameters


GREEN = """([x, y]) => {
    const canvas = document.querySelector('.points canvas');
    const [red, green, blue] = canvas.getContext('2d').getImageData(x, y, 1, 1).data;
    return green > red + 60 && green > blue;
}"""


def test_rows_that_were_marked_elsewhere_are_marked_here(opened: Any, server: Any, tab: Any) -> None:
    _, box = opened("dimensions=3&look=0,0,1")
    places, distance = solid(points(server, 3), box["width"], 0, 0)
    row = lone(places)
    place = [round(float(one)) for one in places[row]]
    assert not tab.page.evaluate(GREEN, place)
    opened(f"dimensions=3&look=0,0,1&rows={row}")
    tab.until(lambda: tab.page.evaluate(GREEN, place), f"row {row} at {place}, {distance[row]} away, is green")
