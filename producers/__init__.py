"""Producers: from recipes, axes and rows to tasks in a queue.

from producers import submit
job = submit("quiz", count=20508, budget_usd=25)
"""

from producers.job import Job, submit

__all__ = ["Job", "submit"]
