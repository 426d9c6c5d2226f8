"""A view as a file over HTTP."""

from urllib.parse import unquote

import pytest


def test_a_view_comes_as_an_attachment(client, record):
    run = record(name="mine é")
    response = client.get("/api/export", params={"view": f"#/run/s0/{run}?tab=recipe"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    kind, _, name = response.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(name)) == ("attachment", "mine-é.html")
    assert f"#/run/s0/{run}?tab=recipe" in response.text


@pytest.mark.parametrize(
    ("view", "status"),
    [("#/source/f9", 404), ("#/no/such", 404), ("nothing", 400), ("#/source/f0/weight/x", 400), ("x" * 7000, 422)],
)
def test_what_is_no_view_is_one_line(client, error_of, view, status):
    response = client.get("/api/export", params={"view": view})
    assert response.status_code == status
    assert error_of(response)
