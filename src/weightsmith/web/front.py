"""Under which names a server may be addressed, by whom, and what its address is."""

import ipaddress
import secrets
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from weightsmith.errors import InputError
from weightsmith.web.guard import LOOPBACK


@dataclass(frozen=True)
class Front:
    """How a server is reached.

    Attributes:
        hosts: names that requests may bear.
        any_address: whether any IP address will do too, as the server listens on all of them.
        prefix: path under which browsers see it: empty or `/x`.
        token: what a client must know; None where only this machine can connect.
        address: what to open, token included.
    """

    hosts: frozenset[str]
    any_address: bool
    prefix: str
    token: str | None
    address: str


def front(opened: socket.socket, host: str, prefix: str = "") -> Front:
    """The front of a server that listens.

    Args:
        opened: the socket.
        host: the name or address that was asked for.
        prefix: a path (`/x`), or a proxy's full address (`https://example.org/x`), whose name is then allowed too.

    Raises:
        InputError: a prefix that is neither.
    """
    path, public = _prefix(prefix)
    bound, port = opened.getsockname()[:2]
    beyond = not ipaddress.ip_address(bound.partition("%")[0]).is_loopback
    everywhere = ipaddress.ip_address(bound.partition("%")[0]).is_unspecified
    token = secrets.token_urlsafe(24) if beyond else None
    names = {*LOOPBACK, host.lower().strip("[]"), bound, *([public] if public else [])}
    if everywhere:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    shown = socket.gethostname() if everywhere else host
    shown = f"[{shown}]" if ":" in shown else shown
    query = f"?token={token}" if token else ""
    return Front(frozenset(names), everywhere, path, token, f"http://{shown}:{port}{path}/{query}")


def _prefix(given: str) -> tuple[str, str | None]:
    """Path and public name of a prefix."""
    if not given:
        return "", None
    wrong = InputError(f"--prefix '{given}': give a path such as /x, or a full address such as https://example.org/x")
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise wrong from None
    is_address = parts.scheme in ("http", "https") and parts.hostname is not None
    is_path = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    path = parts.path.rstrip("/")
    plain = path.isascii() and all(c.isalnum() or c in "/-._~" for c in path) and "//" not in path and ".." not in path
    if not (is_address or is_path) or not plain or parts.query or parts.fragment:
        raise wrong
    return path, parts.hostname.lower() if parts.hostname else None
