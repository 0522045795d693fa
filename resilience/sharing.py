"""Join this process to the fleet: from now on its breakers and limits are those of all."""

from holdfast.resilience.breaker.listener import Listener
from holdfast.resilience.breaker.store import RedisStore, SharedRedis, store_client
from holdfast.resilience.fleet import FLEET, Fleet


def share(url: str | None, *, namespace: str, fleet: Fleet = FLEET) -> None:
    """Share what this process knows of its upstreams in a Redis, under this namespace; None: with nobody.

    Connects at the first call of a guard; a Redis that cannot be reached costs
    no caller anything. For the start of a process: what it shares with others
    already it goes on to share.
    """
    fleet.shared = None if url is None else SharedRedis(url, namespace)
    if url is None:
        fleet.share(None)
        return
    store = RedisStore(store_client(url), namespace=namespace)
    fleet.share(store, Listener(lambda: store_client(url), store.channel, fleet.clock.monotonic))
