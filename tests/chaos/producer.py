"""A producer that is killed in the middle: enqueues jobs one by one, with keys, and says each that it has.

python -m holdfast.tests.chaos.producer COUNT
"""

import sys

import holdfast
from holdfast.tests.chaos.tasks import work


def main(count: int) -> None:
    """Enqueue and tell."""
    with holdfast.connect():
        for number in range(count):
            handle = work.options(key=f"order-{number}").enqueue_sync(0.05)
            sys.stdout.write(f"{handle.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
