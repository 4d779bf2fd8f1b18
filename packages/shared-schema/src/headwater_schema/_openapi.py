"""The OpenAPI document of the native endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from headwater_schema import limits
from headwater_schema._json_schema import ROOTS, Schema, describe
from headwater_schema.batch import ErrorAnswer
from headwater_schema.outcomes import ErrorCode

STATUSES: Final[Mapping[int, tuple[ErrorCode, ...]]] = {
    400: (ErrorCode.MALFORMED_BODY,),
    401: (ErrorCode.MISSING_KEY, ErrorCode.UNKNOWN_KEY),
    402: (ErrorCode.QUOTA_EXCEEDED,),
    403: (ErrorCode.SITE_BLOCKED,),
    413: (ErrorCode.TOO_LARGE,),
    415: (ErrorCode.UNSUPPORTED_TYPE, ErrorCode.UNKNOWN_ENCODING),
    429: (ErrorCode.THROTTLED,),
    503: (ErrorCode.JOURNAL_FULL, ErrorCode.SITES_UNKNOWN, ErrorCode.DRAINING),
}
"""Which error codes come with which HTTP status."""

EXAMPLE_BATCH: Final[Mapping[str, Any]] = {
    "batch_id": "01993a5e-7d10-7c41-9d53-2f6a1b0c9e01",
    "sent_at": "2026-11-21T10:00:05Z",
    "sdk": {"name": "curl", "version": "8"},
    "events": [
        {
            "event": "order placed",
            "distinct_id": "user-1",
            "event_id": "01993a5e-6a01-7b02-8c03-0d04e05f0601",
            "timestamp": "2026-11-21T10:00:00Z",
            "properties": {"plan": "pro", "amount": 12.5},
            "groups": {"company": "acme"},
        }
    ],
}
EXAMPLE_ANSWER: Final[Mapping[str, Any]] = {
    "success": True,
    "data": {
        "accepted": 1,
        "duplicates": 0,
        "dropped": {},
        "invalid": 1,
        "results": {
            "#1": {
                "outcome": "invalid",
                "reason": "malformed_event",
                "detail": "Object missing required field `distinct_id`",
            }
        },
    },
    "meta": {},
}

_RETRIED: Final = frozenset({429, 503})
_LIMITS: Final = (
    f"Limits, after decompression: {limits.MAX_BATCH_BYTES} bytes and "
    f"{limits.MAX_BATCH_EVENTS} events in a batch, {limits.MAX_EVENT_BYTES} bytes in "
    f"an event, {limits.MAX_NAME_CHARS} characters in a name, "
    f"{limits.MAX_DISTINCT_ID_CHARS} in a distinct id, {limits.MAX_DEPTH} levels of "
    "lists and objects in a property."
)
_SEMANTICS: Final = (
    "A 200 means that the events are on disk, apart from those in `results`. "
    "A batch that is sent again under the same `batch_id` is stored once. "
    "Fields that the service does not know are ignored."
)


def openapi() -> Schema:
    """Returns the document."""
    components = describe(
        list(ROOTS.values()), ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater",
            "version": "1",
            "description": "Takes events, and acknowledges them when they are on disk.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/ingest-events": {"post": _ingest_events()},
            "/healthz": {"get": _healthz()},
            "/readyz": {"get": _readyz()},
        },
        "components": {"schemas": components, "securitySchemes": _security()},
    }


def _security() -> Schema:
    return {
        "header": {"type": "apiKey", "in": "header", "name": "X-Headwater-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }


def _ingest_events() -> Schema:
    batch = {"$ref": "#/components/schemas/Batch"}
    return {
        "operationId": "ingestEvents",
        "summary": "Store a batch of events",
        "description": f"{_SEMANTICS}\n\n{_LIMITS}",
        # The last one stands for the key in the body.
        "security": [{"header": []}, {"bearer": []}, {}],
        "parameters": [_content_encoding()],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": batch, "example": EXAMPLE_BATCH},
                "application/msgpack": {"schema": batch},
            },
        },
        "responses": {
            "200": {
                "description": "The batch was taken.",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/Answer"},
                        "example": EXAMPLE_ANSWER,
                    }
                },
            },
            **{str(status): _refusal(status) for status in STATUSES},
        },
    }


def _content_encoding() -> Schema:
    return {
        "name": "Content-Encoding",
        "in": "header",
        "schema": {
            "type": "string",
            "enum": ["identity", "gzip", "zstd"],
            "default": "identity",
        },
    }


def _refusal(status: int) -> Schema:
    codes = STATUSES[status]
    response = {
        "description": "\n".join(f"`{code}`: {code.description}" for code in codes),
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ErrorAnswer"},
                "examples": {str(code): _example(code) for code in codes},
            }
        },
    }
    if status in _RETRIED:
        response["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait before the batch is sent again.",
                "schema": {"type": "integer", "minimum": 0},
            }
        }
    return response


def _example(code: ErrorCode) -> Schema:
    return {"value": msgspec.to_builtins(ErrorAnswer.of(code, code.description))}


def _healthz() -> Schema:
    return {
        "operationId": "healthz",
        "summary": "Whether the process lives",
        "responses": {"200": {"description": "It does."}},
    }


def _readyz() -> Schema:
    return {
        "operationId": "readyz",
        "summary": "Whether the node wants traffic",
        "responses": {
            "200": {
                "description": "It does. `degraded` says what is wrong all the same.",
                "content": {"application/json": {"schema": _readiness()}},
            },
            "503": {
                "description": "It does not; `blocked` says why.",
                "content": {"application/json": {"schema": _readiness()}},
            },
        },
    }


def _readiness() -> Schema:
    names = {"type": "array", "items": {"type": "string"}}
    return {"type": "object", "properties": {"blocked": names, "degraded": names}}
