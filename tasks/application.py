"""Make the Celery application that producers and workers share."""

from collections.abc import Mapping

from celery import Celery


def make_app(name: str, config: Mapping[str, object], *, as_current: bool = False) -> Celery:
    """Make an application with this configuration and nothing from the environment.

    A producer's application must not become Celery's current one, since the
    program may have its own; a worker passes `as_current=True`.
    """
    app = Celery(name, set_as_current=as_current)
    app.conf.update(config)
    return app
