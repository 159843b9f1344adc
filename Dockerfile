FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY config config
COPY ledger ledger
COPY workers workers
COPY producers producers
COPY console console
RUN --mount=type=cache,target=/root/.cache/pip pip wheel --wheel-dir /wheels ".[otel]"

FROM python:3.13-slim
# ca-certificates: calls are checked against the system's trust store. tini: reaps and forwards signals as PID 1.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "genfleet[otel]"
# A new volume takes its owner from the folder that it is mounted on.
RUN useradd --uid 10001 --create-home genfleet \
    && mkdir -p /app/data \
    && chown genfleet:genfleet /app/data \
    && chmod 700 /app/data
ENV PYTHONUNBUFFERED=1
WORKDIR /app
VOLUME /app/data
USER genfleet
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["genfleet", "--help"]
