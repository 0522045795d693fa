"""When do we try, wait, refuse? Policies and decisions, free of Celery and SQL."""
