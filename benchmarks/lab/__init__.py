"""Workloads W1 to W7 on Holdfast, bare Celery and Huey, in one run. See `python -m lab --help`."""
