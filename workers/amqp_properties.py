"""Properties of RabbitMQ's messages that cannot be read end no connection.

py-amqp reads them where nothing catches: a content type that is no UTF-8, a
timestamp beyond the calendar or a table nested without end would end the
worker, or its connection, and the message would come again to the next one.
"""

from typing import Any, Final

from amqp import serialization
from amqp.spec import Basic

UNREADABLE: Final = "holdfast-unreadable-properties"
"""A header that stands for all of them; it says what was wrong."""
_LONGEST: Final = 500

Properties = dict[str, Any]


def guard_properties() -> None:
    """Put our reader before py-amqp's, for every connection of this process."""
    readers: dict[int, Any] = serialization.PROPERTY_CLASSES
    readers[Basic.CLASS_ID] = read_properties


def read_properties(buffer: bytes, offset: int) -> tuple[Properties, int]:
    """Read a message's properties; what cannot be read is told in a header that makes it no task message."""
    try:
        return serialization.decode_properties_basic(buffer, offset)
    except Exception as error:  # noqa: BLE001 -- whatever a stranger wrote; the connection must outlive it
        return {"application_headers": {UNREADABLE: repr(error)[:_LONGEST]}}, offset
