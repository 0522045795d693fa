"""The transport that connects to the very address that was checked."""

from functools import cache
from ssl import SSLContext
from typing import Final

import httpx

from holdfast.tasks.outbound.addresses import Address, AddressRules
from holdfast.tasks.outbound.resolving import Resolver, addresses_of

_PORTS: Final = {"http": 80, "https": 443}


@cache
def system_trust() -> SSLContext:
    """Return the certificates to trust: certifi's, or those of SSL_CERT_FILE. Reading them takes a while."""
    return httpx.create_ssl_context()


class PinnedTransport(httpx.AsyncBaseTransport):
    """Resolves the host of each request once, checks each address, and connects to one of them.

    Between check and connection nobody is asked again, so an answer that
    changes (DNS rebinding) changes nothing. `Host` and the name that the
    certificate must have are still those of the URL. No proxy, no connection
    that is used twice. Raises TargetForbidden, and what httpx raises.
    """

    def __init__(self, rules: AddressRules, resolver: Resolver, trust: SSLContext | None = None) -> None:
        """Make it for one call: its connections belong to one event loop."""
        self._rules = rules
        self._resolver = resolver
        self._wire = httpx.AsyncHTTPTransport(
            verify=trust or system_trust(),
            # The pool knows them by address: one that stands could be another host's, with its certificate.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send to the first address that lets us connect."""
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or _PORTS[request.url.scheme]
        addresses = await addresses_of(host, port, resolver=self._resolver, rules=self._rules)
        for address in addresses[:-1]:
            try:
                return await self._send(request, host, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue  # nothing was sent: the next address may be up
        return await self._send(request, host, addresses[-1])

    async def aclose(self) -> None:
        """Close what is open."""
        await self._wire.aclose()

    async def _send(self, request: httpx.Request, host: str, address: Address) -> httpx.Response:
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=str(address)),
            headers=request.headers,  # `Host` among them
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return await self._wire.handle_async_request(pinned)
