"""Bars of the medians, as SVG: one panel for each number that people ask for first."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

PANELS: Final = (
    ("W1", "jobs/s", "jobs that do nothing, drained per second (more is better)"),
    ("W2", "one by one, jobs/s", "enqueued one by one per second (more is better)"),
    ("W2", "bulk, jobs/s", "enqueued in bulk per second (more is better)"),
    ("W3", "start p50 ms", "from the call to the start, ms, median (less is better)"),
    ("W3", "result p50 ms", "from the call to the result, ms, median (less is better)"),
    ("W4", "until the last begins, s", "until the last of the jobs that wait has begun, s (less is better)"),
)
_WIDTH, _LEFT, _ROW, _HEAD = 860, 190, 22, 26
_COLOURS: Final = ("#2e7d32", "#66bb6a", "#ef6c00", "#1565c0")


def bars(measured: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> str:
    """Draw what was measured of the panels' workloads; the keys of the inner map are the sides' names."""
    parts: list[str] = []
    top = 4
    for workload, number, title in PANELS:
        if workload in measured:
            values = {
                side: statistics.median(one[number] for one in rounds)
                for side, rounds in measured[workload].items()
            }
            parts += _panel(top, title, values)
            top += _HEAD + _ROW * len(values) + 10
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{_WIDTH}" height="{top}" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(top: int, title: str, values: Mapping[str, float]) -> list[str]:
    parts = [f'<text x="4" y="{top + 16}" font-weight="bold">{escape(title)}</text>']
    longest = max(values.values())
    for place, (side, value) in enumerate(values.items()):
        y, width = top + _HEAD + place * _ROW, (_WIDTH - _LEFT - 90) * value / longest
        parts.append(f'<text x="4" y="{y + 12}">{escape(side)}</text>')
        parts.append(
            f'<rect x="{_LEFT}" y="{y}" width="{max(width, 1):.1f}" height="{_ROW - 6}" '
            f'fill="{_COLOURS[place % len(_COLOURS)]}"/>'
        )
        parts.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y + 12}">{value:,.3g}</text>')
    return parts
