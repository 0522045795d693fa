"""Putting the pieces of a digest together: the reduce step, without any I/O."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.tasks.agents.digest.document import (
    DigestReport,
    DocumentDigest,
    DocumentRef,
    Scan,
    Skipped,
    SkipReason,
)
from holdfast.tasks.agents.digest.themes import themes_of


def assemble(
    *,
    folder: str,
    scan: Scan,
    digests: Mapping[str, DocumentDigest],
    refused: Sequence[Skipped] = (),
    reused: int = 0,
    made_at: datetime,
    seconds: float,
) -> DigestReport:
    """Return the report over a scan.

    `digests` are by the key of their document (`DocumentRef.key`); `refused`
    are documents that turned out to be unreadable at work. A document in
    neither is named as not done: nothing that was found is lost. `reused`
    counts digests of a former run, `seconds` is the whole run.
    """
    paths = _paths_by_key(scan.documents)
    units = scan.units()
    documents = tuple(digests[unit.key].at(unit.path) for unit in units if unit.key in digests)
    return DigestReport(
        folder=folder,
        made_at=made_at,
        seconds=seconds,
        documents=documents,
        copies={unit.path: tuple(paths[unit.key][1:]) for unit in units if len(paths[unit.key]) > 1},
        skipped=tuple(
            sorted((*scan.skipped, *_missing(units, paths, digests, refused)), key=lambda each: each.path)
        ),
        themes=themes_of(documents),
        reused=reused,
        other_files=scan.other_files,
        other_names=scan.other_names,
    )


def _paths_by_key(documents: Sequence[DocumentRef]) -> dict[str, list[str]]:
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for document in documents:
        paths[document.key].append(document.path)
    return paths


def _missing(
    units: Sequence[DocumentRef],
    paths: Mapping[str, Sequence[str]],
    digests: Mapping[str, DocumentDigest],
    refused: Sequence[Skipped],
) -> list[Skipped]:
    reasons = {each.path: each for each in refused}
    missing: list[Skipped] = []
    for unit in units:
        if unit.key not in digests:
            detail = "its job gave no digest; run again, and look at the job if it stays so"
            known = reasons.get(unit.path, Skipped(path=unit.path, reason=SkipReason.NOT_DONE, detail=detail))
            missing.extend(known.model_copy(update={"path": path}) for path in paths[unit.key])
    return missing
