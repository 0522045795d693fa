"""The calls themselves: resolved, checked, pinned, and bounded in bytes and time, through all redirects."""

import asyncio
from ssl import SSLContext
from typing import Final

import httpx

from holdfast.jobs.errors import AttemptTimeout
from holdfast.tasks.outbound.addresses import AddressRules
from holdfast.tasks.outbound.body import BoundedBody
from holdfast.tasks.outbound.call import Answer, Call
from holdfast.tasks.outbound.pinned import PinnedTransport
from holdfast.tasks.outbound.resolving import Resolver, resolve

MOST_REDIRECTS: Final = 5
_CONNECT_SECONDS: Final = 5.0
"""For one address of a host; the next one may be up."""


class Outbound:
    """Makes calls to addresses that somebody else named. Any number at a time, on any event loop.

    Reads no proxy from the environment, keeps no cookies and no connections,
    and logs nothing.
    """

    def __init__(
        self,
        rules: AddressRules | None = None,
        *,
        resolver: Resolver = resolve,
        trust: SSLContext | None = None,
    ) -> None:
        """Go where the rules allow: without any, to public addresses alone.

        `trust` is what certificates are checked with: by default certifi's, or SSL_CERT_FILE.
        """
        self.rules = rules or AddressRules()
        """May be replaced: the next call goes by it."""
        self._resolver = resolver
        self._trust = trust

    async def call(self, call: Call, *, seconds: float, largest_bytes: int) -> Answer:
        """Make a call, follow at most five redirects, and return the answer, whatever its status.

        All of it together takes at most so many seconds; of the body at most so
        many bytes are read. Raises TargetForbidden (final), httpx.TooManyRedirects
        (final), AttemptTimeout, and httpx.TransportError where the upstream does not
        speak as it should: worth another try.
        """
        scope = asyncio.timeout(seconds)
        try:
            async with scope, PinnedTransport(self.rules, self._resolver, self._trust) as transport:
                return await _follow(transport, call.checked(), largest_bytes)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise AttemptTimeout(detail=f"a call to {call.url.host} had {seconds:.3g} s") from error


async def _follow(transport: PinnedTransport, call: Call, largest_bytes: int) -> Answer:
    for redirects in range(MOST_REDIRECTS + 1):
        response = await transport.handle_async_request(_request(call))
        try:
            following = call.redirected(response.status_code, response.headers.get("location"))
            if following is None:
                return await _read(response, call, redirects, largest_bytes)
        finally:
            await response.aclose()
        call = following
    raise httpx.TooManyRedirects(f"more than {MOST_REDIRECTS} redirects")


def _request(call: Call) -> httpx.Request:
    # No client sends it: that would log the URL, which may be a secret, and keep cookies.
    headers = httpx.Headers({"Accept": "*/*", "User-Agent": "holdfast"})
    headers.update(call.headers)
    headers["Accept-Encoding"] = "identity"  # what comes compressed all the same is read within the limit
    return httpx.Request(
        call.method,
        call.url,
        headers=headers,
        content=call.body,
        extensions={"timeout": {"connect": _CONNECT_SECONDS}},
    )


async def _read(response: httpx.Response, call: Call, redirects: int, largest_bytes: int) -> Answer:
    body = BoundedBody(largest_bytes, response.headers.get("content-encoding", ""))
    async for chunk in response.aiter_raw():
        if not body.take(chunk):
            break
    data = body.end()
    return Answer(
        status=response.status_code,
        headers=response.headers,
        body=data,
        is_truncated=body.is_truncated,
        url=str(call.url),
        redirects=redirects,
    )
