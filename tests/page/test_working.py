"""Long work on the page: how far it is, cancelling it, and starting it again."""

import re
from typing import Any


def test_long_work_is_shown_cancelled_and_started_again(tab: Any, expect: Any) -> None:
    page = tab.open("#/source/f0/weight/0?method=tsne")
    panel = page.get_by_role("region", name="Neurons as points")
    bar = panel.get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(bar).to_have_attribute("aria-label", re.compile(r"^Moving points: step [\d,]+ of 750$"))
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^\d+$"))
    ended = []
    page.on("requestfailed", lambda request: ended.append(request.url))
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.get_by_text("Cancelled.")).to_be_visible()
    tab.until(lambda: any("method=tsne" in url for url in ended), "the request has ended")
    panel.get_by_role("button", name="Start again").click()
    expect(bar).to_be_visible()
    panel.get_by_role("button", name="PCA").click()  # another question: what nobody waits for any more is given up
    expect(panel.locator("canvas")).to_be_visible()
    panel.get_by_role("button", name="t-SNE").click()
    expect(panel.get_by_role("application", name="700 neurons as points by t-SNE")).to_be_visible()


def test_an_error_of_long_work_is_one_line(tab: Any, expect: Any) -> None:
    page = tab.page
    page.route(
        "**/spectrum",
        lambda route: route.fulfill(
            content_type="text/event-stream",
            body='event: progress\ndata: {"share":0.5,"doing":"x"}\n\n'
            'event: failed\ndata: {"error":"It has <b>no</b> spectrum.","status":400}\n\n',
        ),
    )
    tab.open("#/source/f0/weight/0")
    panel = page.get_by_role("region", name="Spectrum")
    expect(panel.get_by_role("alert")).to_contain_text("It has <b>no</b> spectrum.")


def test_a_tab_that_was_opened_aside_asks_for_long_work_once_it_is_seen(tab: Any, expect: Any) -> None:
    page = tab.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    tab.open("#/source/f0/weight/0")
    expect(page.get_by_role("region", name="Matrix").locator("canvas").first).to_be_visible()
    tab.until(lambda: any("/tiles/" in url for url in asked), "the matrix is asked for")
    assert not any(url.endswith("/spectrum") for url in asked)
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => false })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_role("region", name="Spectrum").locator("canvas")).to_be_visible()
