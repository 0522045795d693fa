"""Every name on a shared server, made from one namespace.

Two namespaces on the same broker and database never see each other: no name
of one can be a name of the other, since a namespace holds no dot.
"""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_NAMESPACE: Final = "holdfast"
CELERY_QUEUE: Final = "celery"
"""Where producers that know only Celery send to: Celery's own default queue."""

NAMESPACE_PATTERN: Final = r"[a-z][a-z0-9_]{0,31}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one namespace; `intake` is None for the default intake queue."""

    namespace: str = DEFAULT_NAMESPACE
    intake: str | None = None

    @property
    def queue_prefix(self) -> str:
        """What stands before a queue's name on the broker."""
        return f"{self.namespace}."

    def queue(self, name: str) -> str:
        """Return the broker's name of the ring queue that our users call `name`."""
        return f"{self.queue_prefix}{name}"

    @property
    def health_queue(self) -> str:
        """The broker's queue for the round trip of `health.ping`."""
        return self.queue("health")

    @property
    def plain_queue(self) -> str:
        """The broker's queue for plain Celery tasks loaded beside ours; the intake forwards to it."""
        return self.queue("plain")

    @property
    def intake_queue(self) -> str:
        """The broker's queue for messages of producers that know only Celery.

        `celery` in the default namespace, so that a plain `send_task` arrives;
        `<namespace>.celery` elsewhere, so that two namespaces do not share it.
        """
        if self.intake is not None:
            return self.intake
        return CELERY_QUEUE if self.namespace == DEFAULT_NAMESPACE else self.queue(CELERY_QUEUE)

    @property
    def control_exchange(self) -> str:
        """The exchange of Celery's remote control."""
        return self.queue("control")

    @property
    def event_exchange(self) -> str:
        """The exchange of Celery's events."""
        return self.queue("events")

    @property
    def event_queue_prefix(self) -> str:
        """What the queues of event readers (Flower) begin with."""
        return self.queue("events")

    @property
    def schema(self) -> str:
        """The PostgreSQL schema that holds our tables."""
        return self.namespace

    @property
    def redis_key_prefix(self) -> str:
        """What every Redis key of ours begins with.

        A key that is no queue holds a colon after the prefix (see `redis_key`),
        which no queue's name can, so a key and a queue are never the same.
        """
        return self.queue_prefix

    def redis_key(self, kind: str, name: str = "") -> str:
        """Return the Redis key for one thing of a kind, such as `holdfast.breaker:openai`."""
        return f"{self.redis_key_prefix}{kind}:{name}"

    def redis_rights(self, database: int = 0) -> str:
        """Return what a Redis user needs, as rules of an ACL: these names, and no command over the server.

        Beside our own names there are kombu's tables of bindings, the queues of
        remote control and its replies, and the intake. The two channels stand
        there as kombu subscribes to them: Redis compares a subscribed pattern
        with the rules letter by letter.
        """
        keys = (
            f"{self.queue_prefix}*",
            f"{self.intake_queue}*",
            "_kombu.binding*",
            f"*.{self.control_exchange}.pidbox*",
        )
        channels = (f"{self.control_exchange}.pidbox", f"{self.event_exchange}/*")
        patterns = [*(f"~{key}" for key in keys), *(f"&/{database}.{channel}" for channel in channels)]
        return " ".join([*patterns, "+@all", "-@admin", "-@dangerous", "+info"])


def is_namespace(text: str) -> bool:
    """Tell whether a text can be a namespace, and so a PostgreSQL schema of its own."""
    reserved = text.startswith("pg_") or text == "information_schema"
    return re.fullmatch(NAMESPACE_PATTERN, text) is not None and not reserved
