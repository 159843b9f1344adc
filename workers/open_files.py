"""Open files of this process: each call in flight has a connection of its own, which is one."""

from __future__ import annotations

import resource

from config.logs import log

#: What a process has open beside its calls: libraries, the broker, the journal, logs; twice of what was seen.
_OTHERS = 200


def allow_calls(calls: int) -> None:
    """Raises the limit on open files where it is too low for so many calls in flight, and says where it cannot be."""
    needed = calls + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        log("files_few", calls=calls, needed=needed, allowed=allowed)
