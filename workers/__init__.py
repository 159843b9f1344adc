"""Workers: they take examples from the queue, call models, and settle what came back.

`celery -A workers worker` finds the app here.
"""

from workers.app import app as celery

__all__ = ["celery"]
