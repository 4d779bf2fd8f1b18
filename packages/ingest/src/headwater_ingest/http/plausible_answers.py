"""The answers of `/api/event`, byte for byte those of Plausible."""

from typing import Final

from headwater_ingest.http.answer import Answer, Pairs
from headwater_ingest.http.respond import CORS

_ALLOWED: Final = (
    b"Authorization,Content-Type,Accept,Origin,User-Agent,DNT,Cache-Control,"
    b"X-Mx-ReqToken,Keep-Alive,X-Requested-With,If-Modified-Since,X-CSRF-Token"
)
_PREFLIGHT: Final[Pairs] = (
    *CORS,
    (b"access-control-max-age", b"1728000"),
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,OPTIONS"),
    (b"access-control-allow-headers", _ALLOWED),
)


def _with_body(status: int, body: bytes, kind: bytes, *headers: Pairs) -> Answer:
    about = (
        (b"content-type", b"%b; charset=utf-8" % kind),
        (b"content-length", b"%d" % len(body)),
    )
    return Answer(status, (*(pair for each in headers for pair in each), *about), body)


def _text(status: int, body: bytes, headers: Pairs = CORS) -> Answer:
    return _with_body(status, body, b"text/plain", headers)


def json_answer(status: int, body: bytes, headers: Pairs = ()) -> Answer:
    """Returns an answer that any page may read."""
    return _with_body(status, body, b"application/json", CORS, headers)


TAKEN: Final = _text(202, b"ok")
PREFLIGHT_ANSWER: Final = Answer(204, _PREFLIGHT)
NO_OPTIONS: Final = _text(404, b"Not Found", ())
NO_ROUTE: Final = _text(404, b"Not Found")
NOT_ACCEPTABLE: Final = _text(406, b"Not Acceptable")
BAD_REQUEST: Final = json_answer(400, b'{"status":400,"message":"Bad Request"}')
NO_JSON: Final = json_answer(
    400, b'{"errors":{"request":["Unable to parse request body as json"]}}'
)
TOO_LARGE: Final = json_answer(
    413, b'{"status":413,"message":"Request Entity Too Large"}'
)
BUSY: Final = json_answer(
    503, b'{"status":503,"message":"Service Unavailable"}', ((b"retry-after", b"5"),)
)
