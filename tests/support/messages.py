"""Celery messages by hand, as a producer pushes them to Redis."""

import base64
import json
import uuid
from typing import Any, Final

from holdfast.tests.support.platform import PREFIX

RINGS: Final = f"{PREFIX}default"
INTAKE: Final = "celery"
PLAIN: Final = f"{PREFIX}plain"


def envelope(
    task: str = "sample.echo",
    body: object = ([], {"text": "x"}, {}),
    *,
    raw_body: bytes | None = None,
    content_type: str = "application/json",
    queue: str = RINGS,
    **headers: object,
) -> dict[str, Any]:
    """Write a Celery message by hand."""
    job_id = str(uuid.uuid4())
    data = raw_body if raw_body is not None else json.dumps(body).encode()
    return {
        "body": base64.b64encode(data).decode(),
        "content-encoding": "utf-8",
        "content-type": content_type,
        "headers": {"lang": "py", "task": task, "id": job_id, **headers},
        "properties": {
            "correlation_id": job_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
