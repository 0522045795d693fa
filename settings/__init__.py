"""What was configured. Read only by composition roots; everything else gets plain values."""

from holdfast.settings.broker import Broker
from holdfast.settings.loading import Examination, examine, load, report, sources
from holdfast.settings.model import Settings
from holdfast.settings.names import Names
from holdfast.settings.provenance import Origin, Source
from holdfast.settings.report import Finding, Report

__all__ = [
    "Broker",
    "Examination",
    "Finding",
    "Names",
    "Origin",
    "Report",
    "Settings",
    "Source",
    "examine",
    "load",
    "report",
    "sources",
]
