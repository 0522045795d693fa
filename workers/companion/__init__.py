"""The companion: a small process that beats for a worker, outside the interpreter that runs user code.

    companion (the process that was started) ── fork ──> worker (Celery)
        reads the worker's ticks from a shared page      writes a tick with each quarter second of its loop
        beats for its row, judges the other workers      reads from the page whether the beats arrive
        kills it when it is stuck, reaps it,             tells by a line who it is, and when it has left
        and says at once how it died

A C call that keeps the interpreter lock, a blocked loop or a long garbage
collection starves a thread of the worker; it does not starve the companion.
"""
