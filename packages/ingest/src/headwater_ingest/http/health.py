"""`/healthz`, `/readyz` and `/metrics`: what others ask about this node.

`/healthz` answers while the process lives. `/readyz` answers 503 only while the node
must not get traffic; with anything else that is wrong it is 200 and says `degraded`.
`/api/health` says the same in the words of Plausible, for whoever watched that.
"""

from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater_ingest.http.respond import CORS
from headwater_ingest.telemetry.metrics import CONTENT_TYPE, Metrics
from headwater_ingest.telemetry.state import Blocked, Degraded, NodeState, Readiness

# Each check of the body, and the reasons why it fails.
_CHECKS: dict[str, tuple[Blocked | Degraded, ...]] = {
    "lifecycle": (Blocked.DRAINING,),
    "journal": (Blocked.JOURNAL_FULL, Blocked.JOURNAL_UNWRITABLE),
    "sites": (Blocked.NO_SITES, Degraded.SITES_FILE_BROKEN, Degraded.SITES_STALE),
    "salts": (Degraded.LOCAL_SALT,),
    "sessions": (Degraded.LOCAL_SESSIONS,),
    "clickhouse": (Degraded.CLICKHOUSE_AWAY,),
    "schema": (Degraded.SCHEMA_PENDING,),
    "workers": (Blocked.NO_WORKERS, Degraded.WORKER_DOWN),
    "writer": (
        Degraded.WRITER_DOWN,
        Degraded.BLOCK_REJECTED,
        Degraded.WRITES_REFUSED,
    ),
    "backlog": (Degraded.BACKLOG_OLD,),
    "data_files": (Degraded.DATA_FILE_BROKEN,),
}


def health_routes(
    read: Callable[[], tuple[NodeState, Readiness]], metrics: Metrics
) -> list[Route]:
    """Return the routes.

    Args:
        read: Takes a snapshot of the node.
        metrics: What `/metrics` renders.
    """

    async def healthz(_request: Request) -> Response:
        return _json({"status": "alive"}, status=200)

    async def readyz(_request: Request) -> Response:
        _, readiness = read()
        return _json(_describe(readiness), status=200 if readiness.is_ready else 503)

    async def plausible_health(_request: Request) -> Response:
        state, readiness = read()
        status = 200 if readiness.is_ready else 503
        answer = _json(_describe_to_plausible(state), status=status)
        return _open_to_pages(answer)

    async def plausible_error(_request: Request) -> Response:
        return _open_to_pages(Response())

    async def render_metrics(_request: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", render_metrics),
        Route("/api/health", plausible_health),
        Route("/api/error", plausible_error),
    ]


def _describe(readiness: Readiness) -> dict[str, object]:
    reasons = {*readiness.blocked, *readiness.degraded}
    return {
        "status": _status(readiness),
        "blocked": readiness.blocked,
        "degraded": readiness.degraded,
        "checks": {
            name: next((reason for reason in fails if reason in reasons), "ok")
            for name, fails in _CHECKS.items()
        },
    }


def _describe_to_plausible(state: NodeState) -> dict[str, object]:
    """Says how Plausible's parts are. Its PostgreSQL is our table of sites."""
    sites = _ok(state.sites_loaded)
    return {
        "postgres": sites,
        "clickhouse": _ok(state.clickhouse_up),
        "sites_cache": sites,
        "sessions": "ok",
    }


def _ok(is_well: bool) -> str:  # noqa: FBT001
    return "ok" if is_well else "error"


def _status(readiness: Readiness) -> str:
    if not readiness.is_ready:
        return "not_ready"
    return "degraded" if readiness.degraded else "ready"


def _open_to_pages(answer: Response) -> Response:
    answer.raw_headers += CORS
    return answer


def _json(body: dict[str, object], *, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
