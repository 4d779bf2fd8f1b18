"""Takes cases through the service, and finds what is not as they expect.

Every case has sites of its own number, so that all rows can be read at once when the
last case is through.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from tests.conformance.compare import Findings, plain, relate
from tests.conformance.seams import WITHOUT_SEAM, call
from tests.conformance.service import Answer, Row, Service

Case = Mapping[str, Any]

_REPEATED = re.compile(r"<([0-9]+) x ([^<>]+)>")
_COUNTERS = re.compile("buffered|dropped_(.+)")
_STEP_KEYS = frozenset(
    {"method", "path", "headers", "body", "raw_body", "raw_body_template", "peer_ip"}
    | {"delay_s", "at", "before", "flush_before", "concurrent", "t"}
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a case.

    Attributes:
        case: The case.
        problems: What is not as expected.
        skipped: Why it was not run.
    """

    case: Case
    problems: Sequence[str] = ()
    skipped: str | None = None


@dataclass(slots=True)
class _Run:
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


def judge(cases: Sequence[Case], service: Service) -> list[Verdict]:
    """Runs all cases and returns a verdict on each, in their order."""
    verdicts: dict[int, Verdict] = {}
    runs: dict[int, _Run] = {}
    for index, case in enumerate(cases):
        driven = _as_requests(case)
        if driven is None:
            verdicts[index] = _judge_unit(case)
        else:
            runs[index] = _drive(driven, service)
    stored = _Stored.read(service)
    for index, run in runs.items():
        _check(run, stored)
        verdicts[index] = Verdict(cases[index], run.findings.lines)
    return [verdicts[index] for index in range(len(cases))]


def _as_requests(case: Case) -> Case | None:
    """Returns a case that is driven by requests; None for others."""
    if case["level"] == "http":
        return case
    if case["unit"]["fn"] != "session.on_events":
        return None
    domain = case["site"]["domain"]
    steps = [
        {
            "method": "POST",
            "path": "/api/event",
            "headers": {"content-type": "text/plain"},
            "t": event.get("t", 0),
            "body": {
                "n": event["name"],
                "u": f"https://{domain}{event.get('pathname', '/')}",
                "d": domain,
                **{key: event[key] for key in ("i", "sd", "e") if key in event},
            },
        }
        for event in case["unit"]["args"]["events"]
    ]
    return {**case, "sequence": steps}


def _judge_unit(case: Case) -> Verdict:
    unit = case["unit"]
    try:
        answer = call(unit["fn"], unit["args"])
    except (KeyError, TypeError, ValueError) as error:
        return Verdict(case, [f"{unit['fn']}: {error!r}"])
    if answer is None:
        reason = WITHOUT_SEAM.get(unit["fn"], f"no seam {unit['fn']}")
        return Verdict(case, skipped=reason)
    findings = Findings()
    findings.expect_fields(unit["fn"], case["expect"], answer)
    return Verdict(case, findings.lines)


def _drive(case: Case, service: Service) -> _Run:
    """Sends the requests of a case."""
    site = dict(case["site"])
    others = site.pop("other_sites", None) or []
    rates = site.pop("exchange_rates", None)
    sites = [site, *others]
    run = _Run(case, [service.take_site_id() for _ in sites])
    steps = case.get("sequence") or [case["request"]]
    try:
        setup = {"sites": sites, "ids": run.ids, "rates": rates}
        service.command("begin", setup)
        before = _counters(service) if "telemetry" in case["expect"] else {}
        _send_all(run, steps, service)
        if "telemetry" in case["expect"]:
            now = _counters(service)
            run.counted = {key: now[key] - before.get(key, 0) for key in now}
        run.seen = service.command("seen")
    except (OSError, ValueError) as error:
        run.findings.lines.append(f"cannot be run: {error!r}")
    return run


def _send_all(run: _Run, steps: Sequence[Mapping[str, Any]], service: Service) -> None:
    """Sends requests one after another, those marked so while the last is in work."""
    waiting: list[tuple[Future[Answer], int]] = []
    with ThreadPoolExecutor() as pool:
        for index, step in enumerate(steps):
            if not step.get("concurrent"):
                run.answers += [(each.result(), at) for each, at in waiting]
                waiting.clear()
            if step.get("flush_before"):
                service.command("flush")
            now_ms = service.command("change", _read_change(step))["now_ms"]
            message = {
                "method": step.get("method", "POST"),
                "path": step.get("path", "/api/event"),
                "headers": step.get("headers") or {},
                "body": _read_body(step),
            }
            is_followed = index + 1 < len(steps) and steps[index + 1].get("concurrent")
            if waiting or is_followed:
                waiting.append((pool.submit(service.send_aside, **message), now_ms))
            else:
                run.answers.append((service.send(**message), now_ms))
        run.answers += [(each.result(), at) for each, at in waiting]


def _read_change(step: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what happens before a request.

    Raises:
        ValueError: The case wants something that this suite does not know.
    """
    if unknown := step.keys() - _STEP_KEYS:
        raise ValueError(f"this suite does not know {', '.join(unknown)} of a step")
    before = step.get("before") or []
    ops = [before] if isinstance(before, str) else before
    if set(ops) - {"rotate_salts"}:
        raise ValueError(f"this suite does not know the operations {ops}")
    change = {
        "delay_s": step.get("delay_s"),
        "at": step.get("at"),
        "since_start_s": step.get("t"),
        "rotations": len(ops),
        "peer_ip": step.get("peer_ip"),
    }
    return {key: value for key, value in change.items() if value is not None}


def _read_body(step: Mapping[str, Any]) -> bytes:
    if "body" in step:
        return json.dumps(step["body"], ensure_ascii=False).encode("utf-8")
    if "raw_body_template" in step:
        text = _REPEATED.sub(
            lambda match: int(match[1]) * match[2], step["raw_body_template"]
        )
        return text.encode()
    raw: str = step.get("raw_body") or ""
    return raw.encode()


def _counters(service: Service) -> Mapping[str, int]:
    text = service.send("GET", "/metrics").body.decode()
    counts: dict[str, int] = defaultdict(int)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "headwater_events_total":
                outcome, reason = sample.labels["outcome"], sample.labels["reason"]
                name = "buffered" if outcome == "accepted" else f"dropped_{reason}"
                counts[name] += int(sample.value)
    return counts


@dataclass(frozen=True, slots=True)
class _Stored:
    """All rows, by site."""

    events: Mapping[int, list[Row]]
    sessions: Mapping[int, list[Row]]

    @classmethod
    def read(cls, service: Service) -> "_Stored":
        """Reads them once they are all there."""
        service.command("flush")
        stored = cls(defaultdict(list), defaultdict(list))
        for row in service.read("events", order="received_at, toUInt128(event_id)"):
            stored.events[row["site_id"]].append(row)
        for row in service.read("sessions", order="start, session_id"):
            stored.sessions[row["site_id"]].append(row)
        return stored


def _check(run: _Run, stored: _Stored) -> None:
    """Compares what a case expects with the answers and with what is stored."""
    findings, expect = run.findings, run.case["expect"]
    if findings.lines:
        return
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
    if run.case["level"] == "http":
        _check_rows(findings, expect, events, sessions)
    else:
        findings.expect_fields("session", expect["session"], _last(sessions))
    _check_parsed(findings, expect.get("parsed") or {}, run.seen)
    for name, count in expect.get("telemetry") or []:
        if _COUNTERS.fullmatch(name):
            findings.expect(f"metric {name}", count, run.counted.get(name, 0))


def _check_step(
    findings: Findings,
    expect: Mapping[str, Any],
    answer: Answer,
    events: Sequence[Row],
    *,
    name: str,
) -> None:
    own = Findings()
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
    """Compares those fields of the last request that the pipeline has."""
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
    known = {key: value for key, value in expect.items() if key in got}
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
