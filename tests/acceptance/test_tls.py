"""rediss://: all that a fleet says to its broker is encrypted, and said to no broker whose certificate is not good."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from fleet_bench import Fleet
from flower_looks import page_status
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from console.services import free_port

PASSWORD = "Tq7secretRedis"
DAYS = "2"


@dataclass(frozen=True)
class Broker:
    """A Redis that speaks TLS alone, and the certificate of who has signed its own."""

    port: int
    authority: Path

    def url(self, host: str = "127.0.0.1", query: str = "") -> str:
        """Its address."""
        return f"rediss://:{PASSWORD}@{host}:{self.port}/0{query}"

    @property
    def trusted(self) -> str:
        """Its address, with whom to trust."""
        return self.url(query=f"?ssl_ca_certs={self.authority}")


def openssl(*arguments: str) -> None:
    """Runs openssl, quietly."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """A certificate that signs others."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", str(key), "-out", str(cert), "-days", DAYS, "-subj", f"/CN={name}")
    return cert


def signed(folder: Path, by: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key, request, cert, names = (folder / f"server.{end}" for end in ("key", "csr", "crt", "ext"))
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", *curve, "-keyout", str(key), "-out", str(request), "-subj", "/CN=127.0.0.1")
    signer = ("-CA", str(by), "-CAkey", str(by.with_suffix(".key")), "-CAcreateserial")
    openssl("x509", "-req", "-in", str(request), *signer, "-out", str(cert), "-days", DAYS, "-extfile", str(names))
    return cert, key


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Redis that listens for TLS alone."""
    if not (shutil.which("openssl") and shutil.which("redis-server")):
        pytest.skip("needs openssl, and a redis-server with TLS: the embedded broker has none")
    folder = tmp_path / "broker"
    folder.mkdir()
    by = authority(folder, "authority")
    cert, key = signed(folder, by)
    port = free_port()
    tls = ["--port", "0", "--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    tls += ["--tls-ca-cert-file", str(by), "--tls-auth-clients", "no", "--requirepass", PASSWORD]
    command = ["redis-server", *tls, "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            found = Broker(port, by)
            with redis.Redis.from_url(found.trusted, retry=Retry(ConstantBackoff(0.05), 100)) as client:
                try:
                    client.ping()
                except redis.ConnectionError:
                    if process.poll() is None:
                        raise
                    pytest.skip(f"redis-server has no TLS: {(folder / 'log').read_text()[-200:]}")
            yield found
        finally:
            process.terminate()


def test_a_fleet_over_tls(broker: Broker, tmp_path: Path) -> None:
    """Producer, workers, collector and Flower each reach a broker that has no other way in than TLS."""
    with redis.Redis.from_url(broker.trusted) as client, Fleet(tmp_path, broker.trusted, client) as fleet:
        fleet.provide(latency_seconds=0.1)
        port = free_port()
        fleet.start("flower", "--port", str(port))
        fleet.worker(processes=2, concurrency=10)
        job = fleet.submit("small", "--count", "100")
        assert fleet.until_state(job, "complete").accepted == 100
        fleet.genfleet("collect", job)
        assert len(fleet.parts(job, "accepted")) == 100
        assert "pong" in fleet.celery("inspect", "ping").wait().out
        for page in ("fleet", "workers", "broker"):
            fleet.until(lambda: page_status(f"http://127.0.0.1:{port}/{page}") == 200, f"Flower shows {page}")  # noqa: B023
        assert "does not answer" not in "".join(command.err for command in fleet.commands)
        # As for the name of the certificate's owner: localhost is not in it.
        for url in (broker.url("localhost", f"?ssl_ca_certs={broker.authority}"), broker.url()):
            done = fleet.genfleet("status", code=2, REDIS_URL=url)
            assert "shows a certificate that cannot be trusted" in done.err
            assert PASSWORD not in done.err


def test_no_part_of_a_fleet_talks_to_an_impostor(broker: Broker, tmp_path: Path) -> None:
    """With a certificate from somebody else no connection is made, ours or Celery's, and no password said."""
    other = authority(tmp_path, "other")
    url = broker.url(query=f"?ssl_ca_certs={other}")
    with redis.Redis.from_url(broker.trusted) as client, Fleet(tmp_path, url, client) as fleet:
        before = int(client.info("stats")["total_commands_processed"])
        mine = 1  # the INFO above
        for untrusted in (url, broker.url(), broker.url("localhost", f"?ssl_ca_certs={broker.authority}")):
            for command in (("submit", "small", "--count", "5"), ("status",), ("worker", "--model", "gpt-4o")):
                assert "cannot be trusted" in fleet.genfleet(*command, code=2, REDIS_URL=untrusted).err
            done = fleet.celery("inspect", "ping", REDIS_URL=untrusted).wait()
            assert done.code != 0
            assert "certificate verify failed" in done.out + done.err
            assert PASSWORD not in done.out + done.err
        assert int(client.info("stats")["total_commands_processed"]) - before == mine
