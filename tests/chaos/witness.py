"""The witness: a process of its own that writes down what handlers say they did, and when it heard so.

    python witness.py PORT

One JSON object per line over the loopback, one answer per line:

- `{"say": kind, ...}`: a handler began (`start`), or had an effect: `raw`, without a key, taken as often
  as it comes, or `keyed`, with an idempotency key, taken once per key. The answer tells whether it was taken.
- `{"ask": "counts"}`: how many of each kind were taken so far.
- `{"ask": "book"}`: everything, in the order in which it was heard.
- `{"outage": true}`, then `{"outage": false}`: the witness is an upstream, too, that answers `call`s with
  503, or within its limit per second with 200, else with 429.

Times are the machine's monotonic clock, which all processes of one machine share and nothing shifts.
Uses the standard library only, so that it starts in a few milliseconds.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque

LINE_BYTES = 64 * 1024 * 1024
CALLS_PER_SECOND = 20


class Witness:
    """What was heard."""

    def __init__(self) -> None:
        self.book: list[dict] = []
        self.counts: Counter[str] = Counter()
        self._keys: set[str] = set()
        self._in_outage = False
        self._granted: deque[float] = deque()

    def hear(self, word: dict) -> dict:
        """Answer one line."""
        if "ask" in word:
            return {"counts": dict(self.counts)} if word["ask"] == "counts" else {"book": self.book}
        if "outage" in word:
            self._in_outage = word["outage"]
            return {}
        kind, now = word["say"], time.monotonic()
        answer = {"status": self._serve(now)} if kind == "call" else {"taken": self._take(word)}
        self.book.append({**word, "at": now, **answer})
        self.counts[kind] += answer.get("taken", True)
        return answer

    def _take(self, word: dict) -> bool:
        key = word.get("key")
        if key is None:
            return True
        is_new = key not in self._keys
        self._keys.add(key)
        return is_new

    def _serve(self, now: float) -> int:
        while self._granted and self._granted[0] < now - 1:
            self._granted.popleft()
        if self._in_outage:
            return 503
        if len(self._granted) >= CALLS_PER_SECOND:
            return 429
        self._granted.append(now)
        return 200


async def serve(port: int) -> None:
    """Listen until the process ends."""
    witness = Witness()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(witness.hear(json.loads(line))).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await converse(reader, writer)
        except ConnectionError:
            writer.close()  # a speaker that was killed

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=LINE_BYTES)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
