"""Who is let through, and what every answer says about itself."""

import pytest


def ask(client, headers, address="/api/hello", method="GET"):
    return client.request(method, address, headers=headers)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8300", "127.0.0.1:1", "[::1]:8300", "LOCALHOST", "localhost."]
)
def test_names_of_this_machine_are_let_through(client, host):
    assert ask(client, {"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8300", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::1", "a@localhost"),
        *("localhost/", "localhost:x", "192.168.0.7", "0.0.0.0", "localhost,evil.example", "127.1", "[::ffff:1.2.3.4]"),
    ],
)
def test_other_names_are_refused_however_they_got_to_point_here(client, host, error_of):
    for address in ("/api/hello", "/"):
        response = ask(client, {"host": host}, address)
        assert response.status_code == 403
        error_of(response)


@pytest.mark.parametrize(
    "headers",
    [
        *({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:9999"}, {"origin": "["}),
        *({"origin": "file://localhost:8300"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}),
    ],
)
def test_pages_of_other_sites_are_refused(client, headers):
    response = ask(client, headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_our_own_page_and_typed_addresses_are_let_through(client):
    for headers in ({"origin": "http://localhost:8300"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
        assert ask(client, headers).status_code == 200
    assert ask(client, {"sec-fetch-site": "cross-site"}, "/").status_code == 200  # a link from elsewhere


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_reading(client, method, error_of):
    response = ask(client, {}, method=method)
    assert response.status_code == 405
    error_of(response)


def test_a_head_request_is_answered(client):
    assert ask(client, {}, method="HEAD").status_code == 200


def test_bodies_and_endless_addresses_are_refused(client):
    assert client.request("GET", "/api/hello", content=b"x").status_code == 413
    assert ask(client, {"transfer-encoding": "chunked"}).status_code == 413
    assert ask(client, {}, "/api/runs?" + "x" * 9000).status_code == 414


@pytest.mark.parametrize("address", ["/", "/api/hello", "/api/nothing", "/nothing/at/all", "/api/sources/f0/weights/x"])
def test_every_answer_bears_the_policy(client, address):
    headers = client.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_a_host_that_was_passed_is_let_through(serve):
    client = serve(hosts={"localhost", "lab.example"})
    assert ask(client, {"host": "lab.example:8300"}).status_code == 200
    assert ask(client, {"host": "10.0.0.1"}).status_code == 403
    anywhere = serve(hosts={"localhost"}, any_address=True)
    assert ask(anywhere, {"host": "10.0.0.1:80"}).status_code == 200
    assert ask(anywhere, {"host": "rebound.example"}).status_code == 403


def test_behind_a_proxy_the_public_name_may_be_the_origin(serve):
    client = serve(hosts={"localhost", "hub.example"})
    assert ask(client, {"host": "localhost:8300", "origin": "https://hub.example"}).status_code == 200


def test_a_token_is_asked_for_and_traded_for_a_cookie(serve, error_of):
    client = serve(token="secret", prefix="/x")
    for address in ("/api/hello", "/", "/api/events"):
        response = client.get(address)
        assert response.status_code == 403
        assert "token" in error_of(response)
    for wrong in ("wrong", "", "secre", "secrets", "\u017fecret"):
        response = client.get("/", params={"token": wrong})
        assert response.status_code == 403
        assert "set-cookie" not in response.headers
    response = client.get("/", params={"token": "secret"})
    assert response.status_code == 303
    assert "secret" not in response.headers["location"]
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    client.cookies.clear()
    name = cookie.partition("=")[0]
    assert client.get("/api/hello", headers={"cookie": f"a=b; {name}=secret; c=d"}).status_code == 200
    for wrong in (
        f"{name}=secreu",
        f"{name}=;;\x7f=secret",
        "weightsmith=secret",
        name,
        f"{name}=\xff".encode("latin-1"),
    ):
        assert client.get("/api/hello", headers={"cookie": wrong}).status_code == 403


def test_two_servers_on_one_host_do_not_overwrite_each_others_cookies(serve):
    names = {
        serve(token=token).get("/", params={"token": token}).headers["set-cookie"].partition("=")[0]
        for token in ("first", "second")
    }
    assert len(names) == 2


def test_a_token_does_not_let_other_sites_in(serve):
    client = serve(token="secret")
    cookie = client.get("/", params={"token": "secret"}).headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    headers = {"cookie": cookie}
    assert client.get("/api/hello", headers=headers).status_code == 200
    assert client.get("/api/hello", headers={**headers, "host": "evil.example"}).status_code == 403
    assert client.get("/api/hello", headers={**headers, "origin": "https://evil.example"}).status_code == 403
    assert client.get("/?token=secret", headers={"host": "evil.example"}).status_code == 403
