"""Jobs as a producer of an older version of a task wrote them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from holdfast.jobs import codec
from holdfast.jobs.errors import InvalidArguments, InvalidOption
from holdfast.tasks.spec import TaskSpec


def of_version(
    spec: TaskSpec, version: str, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[TaskSpec, str]:
    """Return what such a producer knew of the task, and its arguments as JSON text.

    They are not checked with the handler's types, which are those of another version. Raises
    InvalidOption for a version that the task does not upcast, InvalidArguments for arguments without names.
    """
    if version not in spec.upcasts.chain:
        raise InvalidOption(
            detail=f"written_as={version!r:.100}: {spec.name} runs jobs of {', '.join(spec.upcasts.chain)}",
            hint="Name one of these, or add its upcast to the task.",
        )
    if args:
        raise InvalidArguments(
            detail=f"{spec.name}: arguments of version {version} by position",
            hint="Give them by name: the names of that version are not known here.",
        )
    return replace(spec, version=version), codec.encode(dict(kwargs))
