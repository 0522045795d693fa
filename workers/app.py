"""The worker's composition root: settings in, a Celery application out.

`celery -A holdfast.workers.app worker` starts a worker; Flower, `inspect` and
the rest of Celery's commands take the same application. Nothing connects
until a worker starts.
"""

from holdfast.settings import load
from holdfast.workers.composition import HoldfastApp, make_worker_app

if __name__ != "holdfast.workers.app":
    raise ImportError(
        f"this module was imported as {__name__!r}, which would make a second application. "
        "Use `celery -A holdfast.workers.app ...`."
    )

app: HoldfastApp = make_worker_app(load())
