"""A wall clock that is wrong, for single processes and those they start.

By a library of a few lines that is loaded before libc, as libfaketime does; that is not everywhere, a C compiler often
is. Steady clocks are left alone: those of a real machine go on evenly too, whatever its wall clock shows.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    const char *seconds = getenv("CLOCK_SHIFT_SECONDS");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, found);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) found->tv_sec += shift();
    return failed;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed && found) { found->tv_sec = now.tv_sec; found->tv_usec = now.tv_nsec / 1000; }
    return failed;
}

time_t time(time_t *found) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (found) *found = now.tv_sec;
    return now.tv_sec;
}
"""


def shifted(folder: Path, hours: float) -> dict[str, str]:
    """Variables under which a process's wall clock is so many hours fast. Skips the test where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to make a wrong clock with")
    library = folder / "shifted.so"
    if not library.exists():
        command = [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"]
        subprocess.run(command, input=_SOURCE.encode(), check=True, capture_output=True)
    return {"LD_PRELOAD": str(library), "CLOCK_SHIFT_SECONDS": str(round(hours * 3600))}
