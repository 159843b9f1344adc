"""The stream of a job's results in Redis, and who may take from it: see collectable.lua."""

from config.errors import UserError
from ledger import keys
from ledger.connection import Redis
from ledger.damaged import reading
from ledger.part_files import StreamId
from ledger.scripts import script_text

_RELEASE = "if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('DEL', KEYS[1]) end"
_LAST_SEQ = 2**64 - 1


class CollectedElsewhere(UserError):
    """The job's results go, or went, to another place."""


class Results:
    """The results of one job, in the order in which they were settled."""

    def __init__(self, redis_client: Redis, job: str) -> None:
        self.job = job
        self._redis = redis_client
        self._stream = keys.job(job, "results")
        self._lock = keys.job(job, "collector")
        self._kept = keys.job(job, "collected")
        self._claim = redis_client.register_script(script_text("claim"))
        self._trim = redis_client.register_script(script_text("trim"))
        self._release = redis_client.register_script(_RELEASE)
        self._claimed = ("", "")

    def read(self, after: str, count: int) -> list[tuple[str, bytes, bytes]]:
        """Return up to `count` entries after the id `after` ("0": from the start): (id, attempt, examples)."""
        entries = self._redis.xrange(self._stream, min=f"({after}", count=count)
        with reading(f'a result of job "{self.job}"'):
            return [(key.decode(), fields[b"attempt"], fields[b"examples"]) for key, fields in entries]

    def claim(self, owner: str, place: str, ttl_ms: int = 15_000) -> None:
        """Become the one collector of the job for `ttl_ms`, or stay so for that much longer.

        `owner` names the collector and is the same after its restart; `place` is where the results go, as a
        person would say it: host and absolute folder. Raises CollectedElsewhere while another owner holds the
        claim, and when results were already taken both by another owner and to another place.
        """
        self._ask(self._claim, [self._lock, self._kept], [owner, place, str(ttl_ms)])
        self._claimed = (owner, place)

    def trim(self, upto: str) -> None:
        """Remove the entries up to the id `upto`, it included, and note for good where they went.

        Raises CollectedElsewhere, and removes nothing, when the claim has gone to another owner meanwhile.
        """
        if not self._claimed[0]:
            raise RuntimeError("claim the results before trimming them")
        ms, seq = StreamId.parse(upto)
        following = StreamId(ms, seq + 1) if seq < _LAST_SEQ else StreamId(ms + 1, 0)
        self._ask(self._trim, [self._lock, self._kept, self._stream], [*self._claimed, str(following)])

    def release(self, owner: str) -> None:
        """Give the claim back at once, if `owner` holds it."""
        self._release(keys=[self._lock], args=[owner])

    def _ask(self, script: Redis, names: list[str], arguments: list[str]) -> None:
        answer = script(keys=names, args=arguments)
        if not answer:
            return
        place = answer[1].decode()
        if answer[0] == b"held":
            raise CollectedElsewhere(f"Job {self.job} is being collected to {place} by another process; stop it first.")
        raise CollectedElsewhere(f"Job {self.job} was collected in part to {place}; collect the rest there too.")
