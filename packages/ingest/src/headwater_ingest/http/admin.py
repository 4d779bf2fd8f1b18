"""The admin API: the sites over HTTP, for those who hold the admin token.

| request | does | body |
| --- | --- | --- |
| `GET /admin/sites` | lists all sites; `?format=toml` as a sites file | |
| `POST /admin/sites` | adds a site, and tells its write key once | its fields |
| `PUT /admin/sites` | makes a sites file the truth about its sites | TOML, or as JSON |
| `GET /admin/sites/{domain}` | shows a site | |
| `PATCH /admin/sites/{domain}` | changes fields; null is what a new site has | fields |
| `DELETE /admin/sites/{domain}` | removes a site | |
| `POST /admin/sites/{domain}/rotate-key` | tells a new write key | `overlap_hours` |
| `POST /admin/sites/{domain}/release` | lets a site go from its sites file | |

The operations are those of `headwater-ingest sites`, and so are the fields.
"""

import hmac
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater_ingest.errors import (
    ClickHouseError,
    HeadwaterError,
    InvalidSiteError,
    SiteExistsError,
    SiteKeptInFileError,
    SitesFileError,
    UnknownSiteError,
)
from headwater_ingest.http.body import read_body
from headwater_ingest.http.refusal import STATUS, ClientGoneError, RequestRefusedError
from headwater_ingest.sites.administration import (
    DEFAULT_OVERLAP_HOURS,
    SiteAdministration,
)
from headwater_ingest.sites.record import SiteRecord
from headwater_ingest.sites.sites_toml import convert_sites, parse_sites
from headwater_ingest.sites.sites_toml_writer import describe_site
from headwater_ingest.threads import in_thread
from headwater_schema.batch import ErrorAnswer, ErrorBody

_log = structlog.stdlib.get_logger(__name__)

_BEARER: Final = b"bearer "
_RETRY_AFTER_S: Final = 5
_APPLIED: Final = "a file applied over HTTP"
_BODY: Final = "the body"


class AdminCode(StrEnum):
    """Why a request was refused. Nothing was changed."""

    UNAUTHORIZED = "unauthorized"
    MALFORMED_BODY = "malformed_body"
    INVALID_SITE = "invalid_site"
    UNKNOWN_SITE = "unknown_site"
    SITE_EXISTS = "site_exists"
    KEPT_IN_FILE = "kept_in_file"
    CLICKHOUSE_AWAY = "clickhouse_away"


class _UnauthorizedError(HeadwaterError):
    """The admin token is missing or wrong."""


class _MalformedBodyError(HeadwaterError):
    """The body is not what this request takes."""


_REFUSALS: Final[tuple[tuple[type[HeadwaterError], int, AdminCode], ...]] = (
    (_UnauthorizedError, 401, AdminCode.UNAUTHORIZED),
    (_MalformedBodyError, 400, AdminCode.MALFORMED_BODY),
    (InvalidSiteError, 422, AdminCode.INVALID_SITE),
    (SitesFileError, 422, AdminCode.INVALID_SITE),
    (UnknownSiteError, 404, AdminCode.UNKNOWN_SITE),
    (SiteExistsError, 409, AdminCode.SITE_EXISTS),
    (SiteKeptInFileError, 409, AdminCode.KEPT_IN_FILE),
    (ClickHouseError, 503, AdminCode.CLICKHOUSE_AWAY),
)

_REFUSED: Final = tuple(kind for kind, _, _ in _REFUSALS)

_Operate = Callable[[Request, bytes], object]
"""Does what a request asks for, in a thread, and returns the data of the answer."""


class AdminApi:
    """The routes of the admin API. Whoever holds the token may do everything."""

    def __init__(
        self,
        administration: SiteAdministration,
        *,
        token: str,
        on_change: Callable[[], object],
    ) -> None:
        """Makes the API.

        Args:
            administration: What is done.
            token: The admin token.
            on_change: Is told on the loop when the sites may have changed.
        """
        self._administration = administration
        self._token_digest = sha256(token.encode()).digest()
        self._on_change = on_change

    def routes(self) -> list[Route]:
        """Returns the routes."""
        one = "/admin/sites/{domain}"
        return [
            self._route("GET", "/admin/sites", self._list),
            self._route("POST", "/admin/sites", self._add),
            self._route("PUT", "/admin/sites", self._apply),
            self._route("GET", one, self._show),
            self._route("PATCH", one, self._edit),
            self._route("DELETE", one, self._remove),
            self._route("POST", f"{one}/rotate-key", self._rotate_key),
            self._route("POST", f"{one}/release", self._release),
        ]

    def _route(self, method: str, path: str, operate: _Operate) -> Route:
        async def serve(request: Request) -> Response:
            try:
                self._check_token(request)
                body = await read_body(request.receive, dict(request.scope["headers"]))
                data = await in_thread(lambda: operate(request, body))
            except ClientGoneError:
                return Response(status_code=400)  # nobody reads it
            except RequestRefusedError as refusal:
                return _refuse(STATUS[refusal.code], refusal.code, refusal)
            except _REFUSED as error:
                return _refuse_for(error)
            if method != "GET":
                self._on_change()
            return _answer(data)

        return Route(path, serve, methods=[method])

    def _check_token(self, request: Request) -> None:
        sent = dict(request.scope["headers"]).get(b"authorization", b"")
        is_bearer = sent[: len(_BEARER)].lower() == _BEARER
        token = sent[len(_BEARER) :].strip() if is_bearer else b""
        # Of digests, so that not even the length of the token can be timed.
        if not hmac.compare_digest(sha256(token).digest(), self._token_digest):
            raise _UnauthorizedError(
                "send the admin token (setting `admin_token`) in the header "
                "`Authorization: Bearer`"
            )

    def _list(self, request: Request, _body: bytes) -> object:
        if request.query_params.get("format") == "toml":
            return self._administration.export()
        return [describe_site(each) for each in self._administration.list_sites()]

    def _show(self, request: Request, _body: bytes) -> object:
        return describe_site(self._administration.find(_domain(request)))

    def _add(self, _request: Request, body: bytes) -> object:
        record, key = self._administration.add(_read_object(body))
        return _tell("add", record) | ({"write_key": key} if key else {})

    def _edit(self, request: Request, body: bytes) -> object:
        given = _read_object(body)
        return _tell("edit", self._administration.edit(_domain(request), given))

    def _remove(self, request: Request, _body: bytes) -> object:
        record = self._administration.remove(_domain(request))
        _tell("remove", record)
        return {"removed": record.domain}

    def _rotate_key(self, request: Request, body: bytes) -> object:
        given = _read_object(body) if body else {}
        hours = given.get("overlap_hours", DEFAULT_OVERLAP_HOURS)
        if given.keys() - {"overlap_hours"} or type(hours) not in (int, float):
            raise _MalformedBodyError('the body may say {"overlap_hours": 24}')
        domain = _domain(request)
        record, key = self._administration.rotate_key(domain, overlap_hours=hours)
        return _tell("rotate-key", record) | {"write_key": key}

    def _release(self, request: Request, _body: bytes) -> object:
        return _tell("release", self._administration.release(_domain(request)))

    def _apply(self, request: Request, body: bytes) -> object:
        records = _read_sites(request, body)
        file = request.query_params.get("file") or _APPLIED
        changed = self._administration.apply(records, file=file)
        for record in changed:
            _tell("apply", record)
        return {
            "applied": [each.domain for each in changed if not each.removed],
            "removed": [each.domain for each in changed if each.removed],
        }


def _domain(request: Request) -> str:
    domain: str = request.path_params["domain"]
    return domain


def _tell(operation: str, record: SiteRecord) -> dict[str, Any]:
    """Logs a change and describes the site that was changed."""
    _log.info("site changed", operation=operation, domain=record.domain)
    return describe_site(record)


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _MalformedBodyError(f"the body is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise _MalformedBodyError("the body is no JSON object")
    return given


def _read_sites(request: Request, body: bytes) -> list[SiteRecord]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return convert_sites(_read_object(body), name=_BODY)
    try:
        return parse_sites(body.decode(), name=_BODY)
    except UnicodeDecodeError as error:
        raise _MalformedBodyError(f"the body is not TOML: {error}") from None


def _answer(data: object) -> Response:
    if isinstance(data, str):
        return Response(data, media_type="application/toml")
    body: Mapping[str, object] = {"success": True, "data": data}
    return Response(msgspec.json.encode(body), media_type="application/json")


def _refuse_for(error: HeadwaterError) -> Response:
    [(status, code)] = [
        (status, code) for kind, status, code in _REFUSALS if isinstance(error, kind)
    ]
    return _refuse(status, code, error)


def _refuse(status: int, code: str, error: HeadwaterError) -> Response:
    message = str(error)
    body = ErrorAnswer(
        error=ErrorBody(code, message), code=code, message=message, detail=message
    )
    return Response(
        msgspec.json.encode(body),
        status,
        headers=_HEADERS.get(code),
        media_type="application/json",
    )


_HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    AdminCode.UNAUTHORIZED: {"www-authenticate": "Bearer"},
    AdminCode.CLICKHOUSE_AWAY: {"retry-after": str(_RETRY_AFTER_S)},
}
