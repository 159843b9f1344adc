"""The collector: takes a job's results from Redis to part files, one collector a job."""

import socket
import threading
from contextlib import suppress
from pathlib import Path

import redis

from config.logs import log
from ledger.connection import Redis
from ledger.part_files import DiskFull
from ledger.parts import Parts, PartsBusy
from ledger.results import CollectedElsewhere, Results
from ledger.trouble import passing

BATCH = 5_000  # stream entries
# A part file costs several waits for the disk, whatever is in it; results that trickle in are gathered this long.
GATHER_SECONDS = 2.0
WAIT_SECONDS = 1.0  # between two tries while there is no broker, or no room on the disk


def will_pass(error: Exception) -> str | None:
    """Why results cannot be collected now, as a sentence; None where waiting does not mend it."""
    if isinstance(error, DiskFull):
        return str(error)
    trouble = passing(error)
    return None if trouble is None else f"{trouble}: waiting, and trying again."


class Collector:
    """Collects one job to one folder, safe against a kill at any point and against a second collector.

    Either call `step`, `drain` and at the end `close` yourself, or let a thread do all that between `start` and
    `stop`. Errors raised by all of them: CollectedElsewhere (another collector has the job or the folder),
    PartsError (the folder cannot be written), redis.RedisError.
    """

    def __init__(self, redis_client: Redis, job: str, directory: Path) -> None:
        self.parts = Parts(directory)
        #: Why the thread has ended before `stop`, if it has.
        self.failure: Exception | None = None
        self._results = Results(redis_client, job)
        self._place = f"{socket.gethostname()}:{directory.resolve()}"
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._name = f"collect {job}"

    def step(self) -> int:
        """Store what has come, at most BATCH entries, and return their number."""
        self._claim()
        # From the start each time: what a step has stored is gone from the stream, unless the broker went away
        # in between, and then it is passed over on the second reading.
        entries = self._results.read("0", BATCH)
        if entries:
            self.parts.write(entries)
            self._results.trim(entries[-1][0])
            self.parts.compact()
        return len(entries)

    def drain(self) -> int:
        """Store all that is there, merge the small parts, and return the number of entries."""
        total = 0
        while taken := self.step():
            total += taken
        self.parts.compact(least=2)
        return total

    def start(self) -> None:
        """Collect in a thread of its own, through the broker's absences, until `stop`."""
        try:
            self._claim()
        except Exception:
            self.close()
            raise
        self._stopping.clear()
        self._thread = threading.Thread(target=self._follow, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Store what has come until now, end the thread and close; raises what ended it early."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.close()
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Let others collect the job and write in the folder; a second call does nothing."""
        if self.parts.is_open:
            with suppress(redis.RedisError):  # the claim ends by itself
                self._results.release(self.parts.identity)
        self.parts.close()

    def _claim(self) -> None:
        # The folder's lock keeps out a second process of this machine, so a claim in the folder's name is either
        # ours or that of a dead process: a restart need not wait for it to expire.
        try:
            self.parts.open()
        except PartsBusy as error:
            raise CollectedElsewhere(
                f"Job {self._results.job} is being collected to {self.parts.directory} by another process; stop it."
            ) from error
        self._results.claim(self.parts.identity, self._place)

    def _follow(self) -> None:
        said = ""
        try:
            while not self._stopping.is_set():
                try:
                    taken = self.step()
                except (redis.RedisError, DiskFull) as error:
                    if (why := will_pass(error)) is None:
                        raise
                    if why != said:
                        log("collecting_waits", why=why)
                    said = why
                    self._stopping.wait(WAIT_SECONDS)
                else:
                    self._stopping.wait(0 if taken == BATCH else GATHER_SECONDS)
            self.drain()
        except Exception as error:  # raised again by stop()
            self.failure = error
