"""Processor time that the digest's reader takes per document, by kind and size.

    python benchmarks/bench_digest.py [ROUNDS]

A worker reads documents on a thread beside its event loop, so this time is shared with every
running job of the worker. Budget: 100 ms for 40 KB of Markdown, best of the rounds. Processor
time is measured and not wall time, for the machine may be busy with other work.
"""

import statistics
import sys
import time

from holdfast.tasks.agents.digest import summarise
from holdfast.tasks.agents.digest.document import Kind

ROUNDS = 9
SIZES = (4_000, 40_000, 400_000)
PARAGRAPH = "Paragraph {number} tells how a queue of {number} jobs is drained when one worker of many ends. "


def document(kind: Kind, size: int) -> bytes:
    """Build prose of `size` bytes, marked up as its kind wants."""
    text, number = "# Jobs\n\n" if kind == Kind.MARKDOWN else "", 0
    while len(text) < size:
        number += 1
        paragraph = PARAGRAPH.format(number=number) * 3
        text += f"<p>{paragraph}</p>\n" if kind == Kind.HTML else f"{paragraph}\n\n"
    return text[:size].encode()


def main() -> None:
    """Print a table of medians and bests."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"{'kind':<12}{'bytes':>9}{'median ms':>11}{'best ms':>9}")
    for kind in (Kind.MARKDOWN, Kind.HTML):
        for size in SIZES:
            data, taken = document(kind, size), []
            for _ in range(rounds):
                begun = time.process_time()
                summarise("document", data, kind)
                taken.append(1000 * (time.process_time() - begun))
            print(f"{kind.value:<12}{size:>9}{statistics.median(taken):>11.1f}{min(taken):>9.1f}")


if __name__ == "__main__":
    main()
