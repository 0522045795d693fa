"""The work behind `digest`: documents into key sentences, without broker, database or network.

`scan` finds the documents of a folder, `summarise` makes the digest of one,
`assemble` and `build_report` make the report of all, `check_digest` proves it.
"""

from holdfast.tasks.agents.digest.assemble import assemble
from holdfast.tasks.agents.digest.readmes import installed_readmes
from holdfast.tasks.agents.digest.report import build_report
from holdfast.tasks.agents.digest.scan import read_document, scan, scan_texts
from holdfast.tasks.agents.digest.summarise import summarise
from holdfast.tasks.agents.digest.verify import check_digest

__all__ = [
    "assemble",
    "build_report",
    "check_digest",
    "installed_readmes",
    "read_document",
    "scan",
    "scan_texts",
    "summarise",
]
