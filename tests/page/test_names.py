"""Names from files are text, whatever they try to be."""

from typing import Any

import pytest


@pytest.mark.parametrize("view", ["", "?as=table"])
def test_names_are_text_and_show_what_they_hide(tab: Any, expect: Any, view: str) -> None:
    page = tab.open(f"#/source/f1{view}")
    tab.settle()
    expect(page.locator(".pending")).to_have_count(0)
    text = page.locator("main").inner_text()
    assert "<img src=x onerror=" in text
    assert page.locator("main img").count() == 0
    for hidden in "\u202e\u200b\t\x07":
        names = page.locator("main bdi.name, main .twist").all_inner_texts()
        assert all(hidden not in name for name in names)
    assert "202e" in text.lower()  # made visible instead
    assert "owned" not in page.title()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("index", range(4))
def test_each_hostile_weight_has_its_page(tab: Any, expect: Any, index: int) -> None:
    page = tab.open(f"#/source/f1/weight/{index}")
    tab.settle()
    expect(page.get_by_role("region", name="Matrix")).to_be_visible()
    assert page.locator("main img").count() == 0
    assert page.title() != "owned"
    assert len(page.title()) < 100
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_metadata_is_text(tab: Any) -> None:
    page = tab.open("#/source/f1")
    page.get_by_text("of metadata in the file").click()
    assert "<script>document.title='owned'</script>" in page.locator(".metadata").inner_text()
    assert page.locator("main script, main b b").count() == 0


def test_the_address_is_text(tab: Any) -> None:
    page = tab.open("#/%3Cimg%20src%3Dx%20onerror%3D%22document.title%3D'owned'%22%3E?filter=%3Cb%3E")
    tab.settle()
    assert page.locator("main img").count() == 0
    assert "owned" not in page.title()


def test_a_weight_without_a_name_can_be_opened(tab: Any, expect: Any) -> None:
    page = tab.open("#/source/f2")
    page.get_by_role("link", name="(no name)").click()
    expect(page.get_by_role("heading", name="(no name)")).to_be_visible()
    expect(page.get_by_role("region", name="Matrix")).to_contain_text("6 rows \N{MULTIPLICATION SIGN} 4 columns")
