"""Light and dark: the system's choice, and the switch that outlives a reload."""

from collections.abc import Callable
from typing import Any

import pytest


def background(page: Any) -> tuple[int, ...]:
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return tuple(int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(","))


@pytest.mark.parametrize(("theme", "light"), [("light", True), ("dark", False)])
def test_the_system_chooses(open_tab: Callable[..., Any], theme: str, light: bool) -> None:
    tab = open_tab(color_scheme=theme)
    page = tab.open("#/")
    page.wait_for_selector("h2")
    assert (sum(background(page)) > 600) == light
    page.emulate_media(color_scheme="dark" if light else "light")
    tab.wait(f"document.documentElement.dataset.theme === '{'dark' if light else 'light'}'")
    assert (sum(background(page)) > 600) != light


def test_the_switch_wins_and_is_remembered(tab: Any, expect: Any) -> None:
    page = tab.open("#/")
    switch = page.locator("button.theme")
    expect(switch).to_contain_text("Auto")
    switch.click()
    switch.click()
    expect(switch).to_contain_text("Dark")
    assert sum(background(page)) < 150
    page.reload()
    expect(switch).to_contain_text("Dark")
    assert sum(background(page)) < 150


def test_pictures_follow(tab: Any) -> None:
    page = tab.open("#/source/f0/weight/0")
    tab.settle()
    read = """(() => { const c = document.querySelector('section[aria-label="Values"] canvas');
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      const seen = new Set();
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255)
        seen.add(`${d[i]},${d[i+1]},${d[i+2]}`);
      return [...seen]; })()"""
    tab.until(lambda: "0,114,178" in page.evaluate(read))
    page.emulate_media(color_scheme="dark")
    tab.until(lambda: "86,180,233" in page.evaluate(read))
