"""From a host's name to the addresses that a call may go to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Final

import httpx

from holdfast.jobs.errors import TargetForbidden
from holdfast.tasks.outbound.addresses import Address, AddressRules

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host and port, the best first. Raises OSError if there are none."""

_MOST_ADDRESSES: Final = 8
# Threads of its own: a name server that hangs holds nobody else's.
_THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="holdfast-resolve")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system: hosts file, name servers. Raises OSError."""
    found = await asyncio.get_running_loop().run_in_executor(
        _THREADS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(one[4][0]) for one in found))


async def addresses_of(
    host: str, port: int, *, resolver: Resolver, rules: AddressRules
) -> tuple[Address, ...]:
    """Resolve a host once, and return its addresses, at most eight, all of which may be called.

    One that may not forbids the host: who mixes both wants us to take the wrong
    one. Raises TargetForbidden (final), and httpx.ConnectError if the name has no
    address now.
    """
    try:
        found = tuple(ip_address(text) for text in await resolver(host, port))
    except UnicodeError as error:
        raise TargetForbidden(detail="the host has no valid name") from error
    except OSError as error:
        raise httpx.ConnectError(
            f"{host} has no address: {error.strerror or type(error).__name__}"
        ) from error
    if not found:
        raise httpx.ConnectError(f"{host} has no address")
    for address in found:
        if (why := rules.why_not(address)) is not None:
            raise TargetForbidden(detail=f"{host} is {why}")
    return found[:_MOST_ADDRESSES]
