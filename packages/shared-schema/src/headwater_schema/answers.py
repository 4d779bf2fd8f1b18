"""Answers of the service, as clients read them. Light to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import DecodeError

from headwater_schema.batch import Answer, ErrorAnswer
from headwater_schema.errors import MalformedBodyError

_T = TypeVar("_T")


def decode_answer(body: bytes) -> Answer:
    """Decodes the answer to a batch that was taken.

    Raises:
        MalformedBodyError: The body is not such an answer: something else than
            Headwater spoke.
    """
    return _decode(_decode_answer, body)


def decode_error(body: bytes) -> ErrorAnswer:
    """Decodes the answer to a request that was refused.

    Raises:
        MalformedBodyError: The body is not such an answer.
    """
    return _decode(_decode_error, body)


def _decode(decode: Callable[[bytes], _T], body: bytes) -> _T:
    try:
        return decode(body)
    except RecursionError:
        raise MalformedBodyError("nested too deeply") from None
    except (DecodeError, UnicodeDecodeError) as error:
        raise MalformedBodyError(str(error)) from None


_decode_answer: Final = msgspec.json.Decoder(Answer).decode
_decode_error: Final = msgspec.json.Decoder(ErrorAnswer).decode
