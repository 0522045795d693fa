"""A call, its answer, and what a redirect makes of the call."""

from dataclasses import dataclass, field, replace
from typing import Final

import httpx

from holdfast.jobs.errors import TargetForbidden

LONGEST_URL: Final = 2_083
"""Characters; pydantic's `HttpUrl` has the same limit."""

_LARGEST_PORT: Final = 65_535
_SCHEMES: Final = frozenset({"http", "https"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = 303
_TURN_POST: Final = frozenset({301, 302})
"""RFC 9110, 15.4.2 and 15.4.3: these turn a POST into a GET, as browsers do."""
_FOR_ANYBODY: Final = frozenset(
    {"accept", "accept-language", "content-type", "idempotency-key", "user-agent"}
)
"""Headers that another host may see, too. The caller's own may hold keys, whatever they are called."""
_OF_THE_BODY: Final = frozenset({"content-type", "content-language"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Its headers may hold secrets, so they are left out when it is printed."""

    method: str
    url: httpx.URL = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes | None = field(default=None, repr=False)

    def checked(self) -> "Call":
        """Return it without its fragment. Raises TargetForbidden for a URL that cannot be called."""
        if self.url.scheme not in _SCHEMES or not self.url.host:
            raise TargetForbidden(detail="only http:// and https:// with a host can be called")
        if self.url.port is not None and not 0 < self.url.port <= _LARGEST_PORT:
            raise TargetForbidden(detail="the URL has a port that cannot be")
        if self.url.userinfo:
            raise TargetForbidden(
                detail="the URL holds a name or password", hint="Use the Authorization header."
            )
        if len(str(self.url)) > LONGEST_URL:
            raise TargetForbidden(detail=f"the URL is longer than {LONGEST_URL} characters")
        return replace(self, url=self.url.copy_with(fragment=None))

    def redirected(self, status: int, location: str | None) -> "Call | None":
        """Return the call that an answer asks for; None if it asks for none.

        To another origin (scheme, host, port) go only headers that anybody may
        see. Raises TargetForbidden for a place that may not be called: from
        https to http, for one.
        """
        if status not in _REDIRECTS or not location:
            return None
        try:
            url = self.url.join(location)
        except httpx.InvalidURL as error:
            raise TargetForbidden(detail="the redirect leads to no URL") from error
        if self.url.scheme == "https" and url.scheme == "http":
            raise TargetForbidden(detail="the redirect leads from https to http")
        call = replace(self, url=url, headers=_headers_for(self, url)).checked()
        turns = status == _SEE_OTHER or (status in _TURN_POST and self.method == "POST")
        return _without_body(call) if turns else call


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. The body is decompressed, and as long as it may be."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    is_truncated: bool
    """The body went on, or could not be decompressed from some place on."""
    url: str = field(repr=False)
    """Where the answer came from, after all redirects."""
    redirects: int


def _headers_for(call: Call, url: httpx.URL) -> dict[str, str]:
    if _origin(call.url) == _origin(url):
        return call.headers
    return {name: value for name, value in call.headers.items() if name.lower() in _FOR_ANYBODY}


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    # httpx drops the port that the scheme has anyway.
    return url.scheme, url.raw_host, url.port


def _without_body(call: Call) -> Call:
    headers = {name: value for name, value in call.headers.items() if name.lower() not in _OF_THE_BODY}
    return replace(call, method="GET", headers=headers, body=None)
