"""Which headers a caller may set."""

import re
from collections.abc import Mapping
from typing import Final

MOST_HEADERS: Final = 32
LONGEST_VALUE: Final = 4_096
"""Characters; tokens of authorization are long."""

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_OURS: Final = frozenset(
    {
        # Where the request goes and where it ends.
        "host", "content-length", "transfer-encoding", "expect",
        # Of one hop (RFC 9110, 7.6.1), and what proxies obey.
        "connection", "keep-alive", "te", "trailer", "upgrade", "proxy-authenticate", "proxy-authorization",
        "proxy-connection",
        # The limit of the body counts what comes out of it.
        "accept-encoding", "content-encoding",
        "idempotency-key",
    }
)  # fmt: skip


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return them as they are. Raises ValueError, which names the header and never its value."""
    if len(headers) > MOST_HEADERS:
        raise ValueError(f"at most {MOST_HEADERS} headers")
    seen: set[str] = set()
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a header has a character that no name has, or is too long")
        if name.lower() in _OURS:
            raise ValueError(f"{name} is set by the call itself")
        if name.lower() in seen:
            raise ValueError(f"{name} comes twice")
        if len(value) > LONGEST_VALUE or not _VALUE.fullmatch(value):
            raise ValueError(f"{name} needs 1 to {LONGEST_VALUE} printable ASCII characters")
        seen.add(name.lower())
    return dict(headers)
