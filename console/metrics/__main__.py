"""Writes docs/metrics.md to standard output: `python -m console.metrics > docs/metrics.md`."""

from console.metrics.catalogue import document
from console.metrics.families import MOST_CAUSES
from console.metrics.snapshot import MOST_JOBS

print(document(MOST_JOBS, MOST_CAUSES), end="")
