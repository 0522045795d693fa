"""Addresses with passwords in them: masked for people, completed from separate secrets."""

import ipaddress
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

MASK: Final = "********"
_SECRET_PARAMETERS: Final = frozenset({"password", "passwd", "sslpassword", "ssl_password"})


def masked(url: str) -> str:
    """Return the address with its password, also one among its parameters, replaced by asterisks."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return MASK
    netloc = parts.netloc
    if password is not None:
        login, _, host = netloc.rpartition("@")
        netloc = f"{login.partition(':')[0]}:{MASK}@{host}"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if any(name.lower() in _SECRET_PARAMETERS for name, _ in pairs):
        pairs = [(name, MASK if name.lower() in _SECRET_PARAMETERS else value) for name, value in pairs]
        return urlunsplit((parts.scheme, netloc, parts.path, urlencode(pairs, safe="*/:"), parts.fragment))
    return urlunsplit((parts.scheme, netloc, parts.path, parts.query, parts.fragment)) if password else url


def with_password(url: str, password: str) -> str:
    """Return the address with this password instead of its own."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    netloc = f"{user}:{quote(password, safe='')}@{host}"
    # Not urlunsplit: it would drop the empty authority of socket:///path.
    rest = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return f"{parts.scheme}://{netloc}{rest}"


def is_loopback(host: str | None) -> bool:
    """Tell whether a host never leaves this machine; no host at all means a socket file."""
    if not host:
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
