"""An explanation for people: what came, what was understood, what each step did.

Values come from whoever made the request, so nothing of them reaches the terminal but
what can be printed.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from textwrap import wrap
from typing import Any, Final
from uuid import UUID

import msgspec

from headwater_ingest.explain.exchange import Answer
from headwater_ingest.explain.explanation import Explanation
from headwater_ingest.pipeline.trace import EventTrace, StepTrace
from headwater_schema.codec import MalformedBodyError, decode_error
from headwater_schema.outcomes import Outcome

_OK: Final = 200
_MAX_CHARS: Final = 300
_WIDTH: Final = 88
_LABEL: Final = 10
_NAME: Final = 24
_SHOWN_HEADERS: Final = ("x-plausible-dropped", "x-headwater-dropped", "retry-after")
_VERDICTS: Final = {
    Outcome.ACCEPTED: "it is stored",
    Outcome.DUPLICATE: "it is stored already, and not stored again",
    Outcome.DROPPED: "it is left out",
    Outcome.INVALID: "it cannot be stored",
}


def render(explanation: Explanation) -> str:
    """Returns an explanation as lines of text."""
    return "".join(f"{line.rstrip()}\n" for line in _lines(explanation))


def _lines(explanation: Explanation) -> Iterator[str]:
    request = explanation.request
    what = f"{request['method']} {request['path']} from {request['peer']}"
    yield from _labelled("request", _show(f"{what} at {_show(request['at'])}"))
    yield from _labelled("answer", _describe(explanation.answer))
    for note in explanation.notes:
        yield from _labelled("note", _show(note))
    if explanation.parsed:
        yield ""
        yield "understood"
        yield from _table(explanation.parsed)
    for event in explanation.events:
        yield ""
        yield from _event(event)
    if explanation.hints:
        yield ""
    for reason, hint in explanation.hints.items():
        yield reason
        yield from _wrapped(" ", hint)


def _describe(answer: Answer) -> str:
    headers = (
        f"{name}: {answer.headers[name]}"
        for name in _SHOWN_HEADERS
        if name in answer.headers
    )
    return "  ".join([f"{answer.status} {_show(_message(answer))}", *headers])


def _message(answer: Answer) -> str:
    """Returns what an answer says; what it says of single events is told of them."""
    if answer.status == _OK:
        return ""
    try:
        refusal = decode_error(answer.body.encode())
    except MalformedBodyError:
        return answer.body
    return f"{refusal.code}: {refusal.message}"


def _event(event: EventTrace) -> Iterator[str]:
    verdict = _VERDICTS[event.outcome]
    why = f": {event.reason}" if event.reason else ""
    yield f"{_show(event.event) or '(no domain)'}: {verdict}{why}"
    for step in event.steps:
        yield from _named(step.step, _tell(step))
    if event.row:
        yield ""
        yield "row"
        yield from _table(event.row)


def _tell(step: StepTrace) -> str:
    found = ", ".join(f"{name} = {_show(value)}" for name, value in step.set.items())
    verdict = f"ends here: {step.reason}" if step.reason else ""
    told = "; ".join(filter(None, [found, verdict, _show(step.detail)]))
    return told or ("nothing found" if step.step.startswith("put_") else "passed")


def _table(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if value not in (None, "", {}, [], ()):
            yield from _named(name, _show(value))


def _labelled(label: str, text: str) -> Iterator[str]:
    return _wrapped(label.ljust(_LABEL), text)


def _named(name: str, text: str) -> Iterator[str]:
    return _wrapped(f"  {name.ljust(_NAME)}", text)


def _wrapped(head: str, text: str) -> Iterator[str]:
    """Yields a text beside its head, broken between words and nowhere else."""
    lines = wrap(
        text,
        max(_WIDTH - len(head), _WIDTH // 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield f"{head} {lines[0] if lines else ''}"
    yield from (f"{'':{len(head)}} {line}" for line in lines[1:])


def _show(value: object) -> str:
    """Returns a value as text that can be printed, cut if it is long."""
    match value:
        case str() | UUID() | Decimal():
            text = str(value)
        case datetime():
            text = value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            text = msgspec.json.encode(value).decode()
    text = text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )
