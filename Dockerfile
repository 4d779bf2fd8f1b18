# syntax=docker/dockerfile:1
# The ingest service. ClickHouse is not in this image: HEADWATER_CLICKHOUSE_URL names it.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/headwater
WORKDIR /src
COPY requirements-dev.txt ./
COPY packages ./packages
# Only what the packages depend on, in the versions that the tests run with.
RUN /opt/headwater/bin/pip install --constraint requirements-dev.txt \
    ./packages/shared-schema "./packages/ingest[redis]"

FROM python:3.13-slim
RUN groupadd --system --gid 10001 headwater \
    && useradd --system --uid 10001 --gid headwater --no-create-home headwater \
    && install --directory --owner=headwater --group=headwater --mode=0750 \
        /var/lib/headwater
COPY --from=build /opt/headwater /opt/headwater
ENV PATH=/opt/headwater/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HEADWATER_LISTEN_HOST=0.0.0.0 \
    HEADWATER_PORT=8080 \
    HEADWATER_DATA_DIR=/var/lib/headwater
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/headwater
VOLUME /var/lib/headwater
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['HEADWATER_PORT'] + '/healthz', timeout=2)"]
ENTRYPOINT ["headwater-ingest"]
CMD ["serve"]
