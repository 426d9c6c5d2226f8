"""Who may ask and what every answer says about itself. Nothing behind it sees a request that it refuses."""

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine that no other can claim."""

_LONGEST = 8192
"""Characters of an address with its query."""

_HAS_BODY = 413
"""Status of the answer to a request that brings something."""

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Lets through what comes from a page of ours on a name of ours, and only to read.

    A web page elsewhere can make a browser send requests here: it is told by `Origin` and `Sec-Fetch-Site`. A name that
    it makes point here (DNS rebinding) is told by `Host`.

    Args:
        app: what is behind it.
        hosts: names by which the server may be addressed, without ports.
        any_address: whether every IP address will do as well, where the server listens on all of them: an address,
            unlike a name, cannot be made to point elsewhere.
        token: what must be known, or None where only this machine can connect.
        prefix: path under which browsers see the server.
        frames: pages that may show it in a frame, as a content-security policy names them.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Collection[str] = LOOPBACK,
        *,
        any_address: bool = False,
        token: str | None = None,
        prefix: str = "",
        frames: str = "'self'",
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._any_address = any_address
        self._token = token
        # Browsers keep cookies by host without its port: of two servers, neither may overwrite the other's.
        self._cookie = "weightsmith-" + hashlib.blake2b((token or "").encode(), digest_size=4).hexdigest()
        self._prefix = prefix
        self._headers = {**_HEADERS, "Content-Security-Policy": _POLICY + frames}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        refused = self._refusal(scope, headers)
        if refused is not None:
            await _say(send_marked, *refused)
        elif self._token is not None and (given := _token_of(scope)) is not None:
            await self._sign_in(scope, given, send_marked)
        elif self._token is not None and not _same(self._cookie_of(headers), self._token):
            await _say(send_marked, 403, "a token is needed: open the address that `weightsmith ui` printed")
        elif self._prefix and scope["path"] == self._prefix:  # the page's relative addresses need the slash
            await _lead(send_marked, 307, f"{self._prefix}/")
        else:
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            # Requests may come with the prefix or, from a proxy that strips it, without: routing takes both.
            await self._app({**scope, "method": method, "root_path": self._prefix}, receive, send_marked)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and reason where the request is not to be answered."""
        if len(headers.getlist("host")) != 1 or not self._is_ours(headers["host"]):
            return 403, "this name is not one of the server's: open it as localhost, or start it with --host NAME"
        origin = headers.get("origin")
        if origin is not None and not self._is_own_origin(origin, headers["host"]):
            return 403, "pages of other sites may not read this server"
        path: str = scope["path"]
        is_api = "/api/" in f"{path}/"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and is_api:
            return 403, "pages of other sites may not read this server"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, "this server is only read from: use GET"
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            return _HAS_BODY, "a request to this server has no body"
        if len(scope.get("raw_path") or path) + len(scope["query_string"]) > _LONGEST:
            return 414, f"the address is longer than {_LONGEST} characters"
        return None

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))

    def _is_own_origin(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https"):
            return False
        # Behind a proxy the name that browsers use may differ from the one that arrives here.
        return parts.netloc.lower() == host.lower() or (_name(parts.netloc) in self._hosts - LOOPBACK)

    def _cookie_of(self, headers: Headers) -> str:
        """The value of our cookie; empty where there is none."""
        pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        return next((value for name, _, value in pairs if name == self._cookie), "")

    async def _sign_in(self, scope: Scope, given: str, send: Send) -> None:
        """Trade the token in the address for a cookie, so that it stays neither in the address bar nor in a link."""
        assert self._token is not None
        if not _same(given, self._token):
            await _say(send, 403, "this token is not the server's: open the address that `weightsmith ui` printed")
            return
        query = [
            (key, value)
            for key, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if key != "token"
        ]
        path = f"{self._prefix}/" + ("?" + urlencode(query) if query else "")
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Strict; Path={self._prefix}/"
        await _lead(send, 303, path, (b"set-cookie", cookie.encode("ascii")))


def _name(host: str) -> str | None:
    """The name in a `Host` header, without its port and brackets; None where it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname.rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _token_of(scope: Scope) -> str | None:
    found = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return found.get("token")


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


async def _lead(send: Send, status: int, path: str, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"location", path.encode("ascii")), (b"content-length", b"0"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _say(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == _HAS_BODY:  # a proxy may see its end elsewhere: what follows must not count as a request of its own
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
