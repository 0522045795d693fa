"""Wait for one job's end and say how it ended."""

import json

from holdfast.cli.terminal import err, out, print_json, say
from holdfast.jobs.errors import JobFailed
from holdfast.tasks import Handle

DONE, FAILED = 0, 1


def wait_and_tell(handle: "Handle[object]", timeout_seconds: float | None, *, as_json: bool) -> int:
    """Print the result, or why there is none; return the exit code. Raises ResultTimeout."""
    if not as_json:
        say(err(), f"{handle.id}", "dim")
    try:
        handle.result_sync(timeout_seconds)
    except JobFailed as error:
        return _failed(handle, error, as_json=as_json)
    # As the ledger holds it: JSON, whatever type the task gives it in Python.
    text = handle.status_sync().result or "null"
    if as_json:
        print_json({"job_id": handle.id, "state": "completed", "result": json.loads(text)})
    else:
        say(out(), text)
    return DONE


def _failed(handle: "Handle[object]", error: JobFailed, *, as_json: bool) -> int:
    if as_json:
        state = str(handle.status_sync().state)
        print_json({"job_id": handle.id, "state": state, "error": error.detail})
    else:
        say(err(), f"Error: {error}", "bold red")
        say(err(), f"  `holdfast jobs show {handle.id}` shows its attempts.", "yellow")
    return FAILED
