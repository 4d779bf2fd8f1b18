#!/usr/bin/env bash
# Runs a command with HEADWATER_E2E_CLICKHOUSE naming the ClickHouse of
# docker-compose.yml: a project, a port and a password of its own, all gone at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."

CLICKHOUSE_PASSWORD=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
export CLICKHOUSE_PASSWORD CLICKHOUSE_PORT=0 CLICKHOUSE_HTTP_PORT=0
export COMPOSE_PROJECT_NAME=headwater-e2e

trap 'docker compose down --volumes --timeout 5' EXIT
docker compose up --detach --wait clickhouse
address=$(docker compose port clickhouse 9000)
export HEADWATER_E2E_CLICKHOUSE="clickhouse://headwater:$CLICKHOUSE_PASSWORD@$address/headwater"
"$@"
