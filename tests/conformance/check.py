"""Compares a case that has been driven with the answers and with what is stored."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.compare import Findings, plain, relate
from tests.conformance.service import Answer, Row, Service

Case = Mapping[str, Any]

_COUNTERS = re.compile("buffered|dropped_(.+)")
_ANSWER_KEYS = frozenset(
    {"status", "response_body", "response_json", "response_headers", "dropped"}
)
_STEP_KEYS = _ANSWER_KEYS | {"events_count", "event"}
_ROW_KEYS = frozenset(
    {"events_count", "sessions_count", "event", "session", "events", "session_rows"}
    | {"relation"}
)
_KEYS = _ANSWER_KEYS | _ROW_KEYS | {"steps", "parsed", "telemetry"}


@dataclass(slots=True)
class Run:
    """A case on its way.

    Attributes:
        answers: To its requests, each with the time it was sent at.
        seen: Its requests as the pipeline got them.
        counted: What the metrics counted meanwhile, by the names of the cases.
    """

    case: Case
    ids: list[int]
    findings: Findings = field(default_factory=Findings)
    answers: list[tuple[Answer, int]] = field(default_factory=list)
    seen: list[Row] = field(default_factory=list)
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """All rows, by site."""

    events: Mapping[int, list[Row]]
    sessions: Mapping[int, list[Row]]

    @classmethod
    def read(cls, service: Service) -> "Stored":
        """Reads them once they are all there."""
        service.command("flush")
        stored = cls(defaultdict(list), defaultdict(list))
        for row in service.read("events", order="received_at, toUInt128(event_id)"):
            stored.events[row["site_id"]].append(row)
        for row in service.read("sessions", order="start, session_id"):
            stored.sessions[row["site_id"]].append(row)
        return stored


def check(run: Run, stored: Stored) -> None:
    """Compares what a case expects with the answers and with what is stored."""
    findings, expect = run.findings, run.case["expect"]
    if findings.lines:
        return
    _check_keys(findings, expect, _KEYS)
    events = [row for number in run.ids for row in stored.events.get(number, ())]
    events.sort(key=lambda row: row["received_at"])
    sessions = [row for number in run.ids for row in stored.sessions.get(number, ())]
    steps = expect.get("steps")
    if steps is None:
        _check_answer(findings, expect, run.answers[-1][0])
    else:
        for index, (wanted, (answer, now_ms)) in enumerate(
            zip(steps, run.answers, strict=True)
        ):
            _check_step(
                findings, wanted, answer, _rows_of(events, now_ms), name=f"step {index}"
            )
    _check_rows(findings, expect, events, sessions)
    _check_parsed(findings, expect.get("parsed") or {}, run.seen)
    for name, count in expect.get("telemetry") or []:
        if _COUNTERS.fullmatch(name):
            findings.expect(f"metric {name}", count, run.counted.get(name, 0))
        else:
            findings.lines.append(f"this suite does not know the metric {name}")


def _check_keys(
    findings: Findings, expect: Mapping[str, Any], known: frozenset[str]
) -> None:
    if unknown := expect.keys() - known:
        names = ", ".join(sorted(unknown))
        findings.lines.append(f"this suite cannot expect {names}")


def _check_step(
    findings: Findings,
    expect: Mapping[str, Any],
    answer: Answer,
    events: Sequence[Row],
    *,
    name: str,
) -> None:
    own = Findings()
    _check_keys(own, expect, _STEP_KEYS)
    _check_answer(own, expect, answer)
    if "events_count" in expect:
        own.expect("events_count", expect["events_count"], len(events))
    if "event" in expect:
        own.expect_fields("event", expect["event"], _last(events))
    findings.lines += [f"{name}: {line}" for line in own.lines]


def _check_answer(findings: Findings, expect: Mapping[str, Any], got: Answer) -> None:
    if "status" in expect:
        findings.expect("status", expect["status"], got.status)
    if "response_body" in expect:
        found = got.body.decode("utf-8", "replace")
        findings.expect("response_body", expect["response_body"], found)
    if "response_json" in expect:
        findings.expect("response_json", expect["response_json"], _read_json(got.body))
    findings.expect_headers(expect.get("response_headers") or {}, got.headers)
    if "dropped" in expect:
        reasons = got.headers.get("x-headwater-dropped")
        wanted = expect["dropped"]
        if isinstance(wanted, list):
            wanted = ", ".join(dict.fromkeys(wanted))
        findings.expect("dropped", wanted, reasons)


def _check_rows(
    findings: Findings,
    expect: Mapping[str, Any],
    events: Sequence[Row],
    sessions: Sequence[Row],
) -> None:
    if "events_count" in expect:
        findings.expect("events_count", expect["events_count"], len(events))
    if "sessions_count" in expect:
        findings.expect("sessions_count", expect["sessions_count"], len(sessions))
    event = _last(events)
    number = event["session_id"] if event else None
    session = next((row for row in sessions if row["session_id"] == number), None)
    if "event" in expect:
        findings.expect_fields("event", expect["event"], event)
    if "session" in expect:
        findings.expect_fields("session", expect["session"], session)
    if "events" in expect:
        findings.expect_rows("events", expect["events"], events)
    if "session_rows" in expect:
        findings.expect_rows("session_rows", expect["session_rows"], sessions)
    for key, wanted in (expect.get("relation") or {}).items():
        _check_relation(findings, key, wanted, events, event=event, session=session)


def _check_relation(
    findings: Findings,
    key: str,
    wanted: object,
    events: Sequence[Row],
    *,
    event: Row | None,
    session: Row | None,
) -> None:
    left, is_equation, right = key.partition("==")
    if not is_equation:
        got: object = relate(events, key)
    elif event is None or session is None:
        got = "no row"
    else:
        rows = {"event": event, "session": session}
        got = _look_up(rows, left) == _look_up(rows, right)
    findings.expect(f"relation {key}", wanted, got)


def _look_up(rows: Mapping[str, Row], name: str) -> object:
    table, _, column = name.partition(".")
    return plain(rows[table][column])


def _check_parsed(
    findings: Findings, expect: Mapping[str, Any], seen: Sequence[Row]
) -> None:
    """Compares those fields of the last request that the pipeline has.

    Texts and lists of it are empty where the cases say null.
    """
    if not expect:
        return
    if not seen:
        findings.add("parsed", dict(expect), "no request")
        return
    got = dict(seen[-1])
    if got["revenue"] and expect.get("revenue"):
        for each in (wanted := dict(expect["revenue"])), got["revenue"]:
            each["amount"] = float(each["amount"])
        expect = {**expect, "revenue": wanted}
    known = {
        key: value
        for key, value in expect.items()
        if key in got and (value is not None or got[key])
    }
    findings.expect_fields("parsed", known, got)


def _rows_of(events: Sequence[Row], now_ms: int) -> list[Row]:
    """Returns the rows of the request that was sent at a time of the case's clock."""
    return [
        row for row in events if round(row["received_at"].timestamp() * 1000) == now_ms
    ]


def _read_json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _last(rows: Sequence[Row]) -> Row | None:
    return rows[-1] if rows else None
