"""Small pictures of runs, as SVG: no library, and the same bytes for the same run."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from math import ceil, log10
from typing import Final

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 860, 260, 44, 34, 30
_COLOURS: Final = {True: "#2e7d32", False: "#c62828"}
_CURVES: Final = ("#2e7d32", "#1565c0", "#ef6c00", "#c62828")
_OK: Final = 200


def calls_a_second(
    calls: Sequence[tuple[float, int]], script: Sequence[tuple[str, float]], *, limit: int
) -> str:
    """Draw the calls of each second: green above for answers, red for those that got none.

    `script` names the stretches and their lengths in seconds; the last one lasts to the end.
    """
    last = ceil(max((at for at, _ in calls), default=1.0)) + 1
    found = Counter((int(at), status == _OK) for at, status in calls)
    most = max(limit * 1.3, *(found[(second, True)] + found[(second, False)] for second in range(last)))
    across, up = (WIDTH - LEFT) / last, (HEIGHT - BOTTOM - TOP) / most

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - count * up

    parts = []
    for second in range(last):
        lost, answered = found[(second, False)], found[(second, True)]
        for is_answered, low, high in ((False, 0, lost), (True, lost, lost + answered)):
            if high > low:
                parts.append(
                    f'<rect x="{LEFT + second * across:.1f}" y="{y(high):.1f}" '
                    f'width="{max(across - 1, 1):.1f}" height="{(high - low) * up:.1f}" '
                    f'fill="{_COLOURS[is_answered]}"/>'
                )
    begins = 0.0
    for name, seconds in script:
        x = LEFT + begins * across
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#999"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{TOP - 8}">{escape(name)}</text>')
        begins += seconds
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="#1565c0" '
        f'stroke-dasharray="5 4"/><text x="4" y="{y(limit) + 4:.1f}">{limit}/s</text>'
    )
    parts += [
        f'<text x="{LEFT + second * across:.1f}" y="{HEIGHT - 12}">{second} s</text>'
        for second in range(0, last, 5)
    ]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def curves(
    lines: Sequence[tuple[str, Sequence[float]]], *, unit: str, marks: Sequence[tuple[float, str]]
) -> str:
    """Draw one curve for each name over seconds, on a scale of powers of ten, as they differ that much."""
    last = max(len(values) for _, values in lines)
    top = 4.0
    across, up = (WIDTH - LEFT) / last, (HEIGHT - BOTTOM - TOP) / top

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - log10(max(value, 1.0)) * up

    parts = []
    for power in range(int(top) + 1):
        line = y(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{line:.1f}" y2="{line:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="2" y="{line + 4:.1f}">{10**power}</text>')
    for second, name in marks:
        x = LEFT + second * across
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#bbb"/>')
        parts.append(f'<text x="{x + 4:.1f}" y="{HEIGHT - 12}">{escape(name)}, {second:g} s</text>')
    for place, ((name, values), colour) in enumerate(zip(lines, _CURVES, strict=False)):
        points = " ".join(
            f"{LEFT + second * across:.1f},{y(value):.1f}" for second, value in enumerate(values)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT + place * 200}" y="{TOP - 12}" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{WIDTH - 130}" y="{HEIGHT - 12}">{escape(unit)}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )
