"""Send a quarantined message again: the same bytes, to the queue where it was.

Killed at any point nothing is lost: the message stays in the quarantine, and is
marked as replayed only after the broker has it. At worst it is sent twice, and
the second is known by its id.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from kombu import Connection
from kombu.exceptions import OperationalError

from holdfast.jobs.errors import BrokerUnavailable, MessageNotReplayable
from holdfast.jobs.ids import JobId, is_job_id, new_job_id
from holdfast.jobs.state import QuarantineReason
from holdfast.ledger import Ledger
from holdfast.ledger.records import QueuedMessage
from holdfast.tasks.doorbell import ring_of
from holdfast.workers.amqp_properties import UNREADABLE
from holdfast.workers.kept import Envelope, envelope_from

_FORCE: Final = "a worker would put it aside again (--force sends it all the same)"


@dataclass(frozen=True, slots=True)
class Replayed:
    """A message that the broker has again."""

    message_id: int
    queue: str
    job_id: str | None
    """The id under which its job is looked for; None if it has none."""
    is_closed: bool
    """False: it has come back already, and is open again."""


class Replayer:
    """Replays messages of one ledger through one broker."""

    def __init__(self, ledger: Ledger, connect: Callable[[], Connection]) -> None:
        """`connect` makes a connection for writing."""
        self._ledger = ledger
        self._connect = connect

    def replay(self, message_id: int, *, force: bool = False, as_new: bool = False) -> Replayed:
        """Send one message again; `as_new` gives it an id that no job has.

        Raises MessageNotFound, MessageNotReplayable (nothing was changed) or
        BrokerUnavailable (it may have been sent; it stays open).
        """
        message = self._ledger.quarantine.one(message_id)
        envelope = None if message.envelope is None else envelope_from(message.envelope)
        reason = obstacle(message, envelope, force=force)
        if reason:
            raise MessageNotReplayable(detail=f"{message_id}: {reason}")
        if envelope is not None:
            envelope = self._with_free_id(message_id, envelope, force=force, as_new=as_new)
        self._send(message, envelope)
        is_closed = self._ledger.quarantine.mark_replayed(message_id, times=message.count)
        return Replayed(message_id, message.queue, job_id_of(envelope), is_closed)

    def _with_free_id(self, message_id: int, envelope: Envelope, *, force: bool, as_new: bool) -> Envelope:
        if as_new:
            return _renamed(envelope, new_job_id())
        job_id = job_id_of(envelope)
        if job_id is None or ring_of(envelope.headers) is not None:
            return envelope
        # First, or a fast worker would take the replayed message for a known one.
        if not self._ledger.quarantine.release_id(JobId(job_id)) and not force:
            raise MessageNotReplayable(
                detail=f"{message_id}: a job had its id {job_id} (--as-new sends it under another one)"
            )
        return envelope

    def _send(self, message: QueuedMessage, envelope: Envelope | None) -> None:
        with self._connect() as connection:
            away: tuple[type[BaseException], ...] = (OperationalError, OSError, *connection.connection_errors)
            try:
                connection.ensure_connection(max_retries=1)
                channel: Any = connection.channel()
                if envelope is None:
                    _push(channel, message)
                else:
                    _publish(connection, channel, message, envelope)
            except away as error:
                raise BrokerUnavailable(
                    detail=repr(error)[:200], hint="Nothing is lost; try again."
                ) from error


def obstacle(message: QueuedMessage, envelope: Envelope | None, *, force: bool) -> str:
    """Say why a message cannot be replayed; empty if it can."""
    if message.envelope is not None and (envelope is None or UNREADABLE in envelope.headers):
        return "its headers were too large or could not be read, and are not kept"
    if not message.is_whole:
        return f"only {len(message.raw)} of its {message.size} bytes are kept"
    if envelope is None and not force:
        return f"its bytes are no message: {_FORCE}"
    if message.reason is QuarantineReason.UNDECODABLE and not force:
        return f"it could not be read: {_FORCE}"
    return ""


def job_id_of(envelope: Envelope | None) -> str | None:
    """Return the id in a message's headers, if it can be a job's."""
    value = envelope.headers.get("id") if envelope is not None else None
    return value if is_job_id(value) else None


def _renamed(envelope: Envelope, job_id: str) -> Envelope:
    headers: Mapping[str, Any] = {**envelope.headers, "id": job_id, "root_id": job_id}
    return replace(envelope, headers=headers, properties={**envelope.properties, "correlation_id": job_id})


def _push(channel: Any, message: QueuedMessage) -> None:
    client = getattr(channel, "client", None)
    if client is None:
        raise MessageNotReplayable(
            detail=f"{message.id}: bytes that are no message can be pushed to Redis only"
        )
    client.lpush(message.queue, message.raw)


def _publish(connection: Connection, channel: Any, message: QueuedMessage, envelope: Envelope) -> None:
    properties = dict(envelope.properties)
    try:
        prepared = channel.prepare_message(
            message.raw,
            priority=properties.pop("priority", None),
            content_type=envelope.content_type,
            content_encoding=envelope.content_encoding,
            headers=dict(envelope.headers),
            properties=properties,
        )
        if isinstance(prepared, dict):
            # On Redis kombu adds a priority; the same message, back in the quarantine, is to be known.
            prepared["properties"] = {**envelope.properties, "delivery_info": {}}
        else:
            # RabbitMQ drops what it cannot route without a word.
            channel.queue_declare(message.queue, passive=True)
        channel.basic_publish(prepared, exchange="", routing_key=message.queue)
    except connection.channel_errors as error:
        raise MessageNotReplayable(
            detail=f"{message.id}: the broker has no queue {message.queue}, or refuses it ({error!r})"
        ) from error
    except (TypeError, ValueError, AttributeError, struct.error) as error:
        raise MessageNotReplayable(
            detail=f"{message.id}: it cannot be written for this broker ({error!r})"
        ) from error
