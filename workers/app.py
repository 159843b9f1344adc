"""The Celery app: one task type per model, one queue per job, and the settings that Redis as a broker needs.

Cheap to import: producers use it to enqueue. What a worker does is imported when a worker starts, with its consumer.
"""

from __future__ import annotations

import warnings
from ssl import CERT_REQUIRED
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning
from kombu import Exchange, Queue
from kombu.utils.url import parse_url

from config import logs
from config.models import Model, models
from config.settings import settings
from workers import tracing
from workers.rejections import Rejected, rejection

#: Celery's own loop stands still while it waits for an answer.
SOCKET_SECONDS = 10


def task_name(model: str) -> str:
    """The name of the task that makes examples with a model, and of the queue that says who takes such tasks."""
    return f"generate.{model}"


def job_queue(model: str, job: str) -> str:
    """The name of the queue of a job's tasks; workers that take the model's queue take it while the job runs."""
    return f"{task_name(model)}:{job}"


def tls(url: str) -> dict[str, Any] | bool:
    """How to check the broker's certificate: kombu, if it is not told, does not check it at all."""
    if not url.startswith("rediss://"):
        return False
    given: dict[str, Any] = parse_url(url).get("ssl", {})
    return {"ssl_cert_reqs": CERT_REQUIRED, "ssl_check_hostname": True} | given


def rate_limit(model: Model) -> str | None:
    """The model's limit on requests as Celery writes it."""
    rpm = model.limits.requests_per_minute
    return None if rpm is None else f"{rpm:g}/m"


class App(Celery):
    """Celery's, whose producers connect to the broker that the settings name by then.

    An embedded broker is started after this module was imported.
    """

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """As Celery's."""
        return super().connection_for_write(url or settings().redis_url, **options)


_URL = settings().redis_url or "redis://127.0.0.1:6379/0"

app = App(
    "genfleet",
    broker=_URL,
    amqp="workers.transport:AMQP",
    control="workers.control:Control",
)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    result_accept_content=["json"],
    task_ignore_result=True,  # results are in the ledger
    task_store_errors_even_if_ignored=False,
    # Acknowledged when it ends, so that what Celery holds is bounded by its places. What fails is in the ledger.
    task_acks_late=True,
    task_acks_on_failure_or_timeout=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,  # a call is seen through; leases stop twins
    worker_enable_prefetch_count_reduction=True,
    broker_use_ssl=tls(_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,  # by default a worker gives up after 100 tries
    broker_channel_error_retry=True,  # READONLY and OOM pass
    broker_transport_options={
        # The ledger knows what is unsettled and who holds it, and enqueues again what a dead worker held. A second
        # record in the broker of what was delivered costs two transactions an example, a quarter of a worker's time.
        "ack_emulation": False,
        "socket_timeout": SOCKET_SECONDS,  # without it a lost link hangs an acknowledgement for ever
        "socket_connect_timeout": 5,
        "health_check_interval": 5,  # a question for messages that is not answered is given up after as long
        "socket_keepalive": True,
        "queue_order_strategy": "workers.turns:TurnsCycle",
        "priority_steps": [0],  # jobs share by weight; messages of other priorities would be as many keys to ask
        "polling_interval": 0.25,  # seconds that one question for messages may block
    },
    worker_send_task_events=True,  # Flower
    task_send_sent_event=False,  # would double the producer's messages
    # Each with an exchange of its own: queues that share one and its default key would all get every message.
    task_queues=[Queue(task_name(name), Exchange(task_name(name)), task_name(name)) for name in models()],
    task_create_missing_queues=True,
    task_default_queue="genfleet",
    task_routes=lambda name, *_, **__: {"queue": name} if name.startswith("generate.") else None,
    worker_pool="workers.pool:Pool",
    worker_consumer="workers.consumer:Consumer",
    worker_hijack_root_logger=True,
    worker_redirect_stdouts=False,
    worker_proc_alive_timeout=30,
)


@signals.celeryd_init.connect
@signals.setup_logging.connect
def _log_our_way(loglevel: int | None = None, logfile: str | None = None, **_: Any) -> None:
    """Celery's own lines go where ours do, and in their form; its options --loglevel and --logfile are heeded."""
    logs.configure(loglevel, logfile)
    # Of root's rights, for what pickled messages could do with them: ours are JSON alone.
    warnings.filterwarnings("ignore", category=SecurityWarning)


def _body(job: str, unit: int) -> None:
    from workers.runtime import process  # noqa: PLC0415  only workers need it

    with tracing.received():
        verdict = process().generate(job, unit)
    if verdict is not None and verdict.settlement.outcome == "rejected":
        raise rejection(verdict.settlement.reason, verdict.detail)


for _model in models().values():
    app.task(
        _body,
        name=task_name(_model.name),
        rate_limit=rate_limit(_model),
        throws=(Rejected,),
        typing=False,
        shared=False,
    )
