"""What a queue may be called: the same for whoever names one, and for the workers that read it."""

import re
from typing import Final

QUEUE_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
RESERVED_QUEUES: Final = frozenset({"celery", "control", "epoch", "events", "health", "intake", "plain"})
"""Queue names that we need ourselves."""
QUEUE_RULE: Final = f"1 to 64 letters, digits, _ and -; {', '.join(sorted(RESERVED_QUEUES))} are taken"


def is_queue(text: object) -> bool:
    """Tell whether a queue may be called so; whatever is no text may not."""
    if not isinstance(text, str) or text in RESERVED_QUEUES:
        return False
    return re.fullmatch(QUEUE_PATTERN, text) is not None
