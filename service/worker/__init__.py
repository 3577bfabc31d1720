"""The second composition root: a Celery worker whose trainer processes fit the runs."""
