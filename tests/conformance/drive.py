"""Takes cases through the service, and finds what is not as they expect.

Every case has sites of its own number, so that all rows can be read at once when the
last case is through.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from tests.conformance.check import Case, Run, Stored, check
from tests.conformance.compare import Findings
from tests.conformance.seams import WITHOUT_SEAM, call
from tests.conformance.service import Answer, Service

_HALF = re.compile("[\ud800-\udfff]")
_REPEATED = re.compile(r"<([0-9]+) x ([^<>]+)>")
_STEP_KEYS = frozenset(
    {"method", "path", "headers", "body", "raw_body", "raw_body_template", "peer_ip"}
    | {"delay_s", "at", "before", "flush_before", "concurrent", "t", "note"}
)
_NO_RAW_SESSIONS = (
    "design: there are no raw rows of sessions; the view has one per session"
)
_EVENT_FIELDS = frozenset({"name", "i", "interactive", "sd", "e", "props"})


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


def judge(cases: Sequence[Case], service: Service) -> list[Verdict]:
    """Runs all cases and returns a verdict on each, in their order."""
    verdicts: dict[int, Verdict] = {}
    runs: dict[int, Run] = {}
    for index, case in enumerate(cases):
        driven = _as_requests(case)
        if _asks_for_raw_sessions(case):
            verdicts[index] = Verdict(case, skipped=_NO_RAW_SESSIONS)
        elif driven is None:
            verdicts[index] = _judge_unit(case)
        else:
            runs[index] = _drive(driven, service)
    stored = Stored.read(service)
    for index, run in runs.items():
        try:
            check(run, stored)
        except (KeyError, TypeError, ValueError) as error:
            run.findings.lines.append(f"cannot be compared: {error!r}")
        verdicts[index] = Verdict(cases[index], run.findings.lines)
    return [verdicts[index] for index in range(len(cases))]


def _asks_for_raw_sessions(case: Case) -> bool:
    rows = case["expect"].get("session_rows") or []
    return any(row.get("sign", 1) != 1 for row in rows)


def _as_requests(case: Case) -> Case | None:
    """Returns a case that is driven by requests; None for others."""
    if case["level"] == "http":
        return case
    if case["unit"]["fn"] != "session.on_events":
        return None
    domain = case["site"]["domain"]
    events = case["unit"]["args"]["events"]
    return {**case, "sequence": [_as_step(each, domain) for each in events]}


def _as_step(event: Mapping[str, Any], domain: str) -> dict[str, Any]:
    """Returns the request of an event; what nobody knows of it stays in the step."""
    rest = dict(event)
    host, path = rest.pop("hostname", domain), rest.pop("pathname", "/")
    said = {key: rest.pop(key) for key in _EVENT_FIELDS & rest.keys()}
    return {
        "method": "POST",
        "path": "/api/event",
        "headers": {"content-type": "text/plain"},
        "t": rest.pop("t", 0),
        "body": {"u": f"https://{host}{path}", "d": domain, **said},
        **rest,
    }


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


def _drive(case: Case, service: Service) -> Run:
    """Sends the requests of a case."""
    site = dict(case["site"])
    others = site.pop("other_sites", None) or []
    rates = _as_texts(site.pop("exchange_rates", None))
    sites = [site, *others]
    run = Run(case, [service.take_site_id() for _ in sites])
    steps = case.get("sequence") or [case["request"]]
    try:
        service.command("begin", {"sites": sites, "ids": run.ids, "rates": rates})
        before = _counters(service) if "telemetry" in case["expect"] else {}
        _send_all(run, steps, service)
        if "telemetry" in case["expect"]:
            now = _counters(service)
            run.counted = {key: now[key] - before.get(key, 0) for key in now}
        run.seen = service.command("seen")
    except (OSError, HTTPException, ValueError) as error:
        run.findings.lines.append(f"cannot be run: {error!r}")
        service.close()  # the next case begins with a new connection
    return run


def _as_texts(rates: Mapping[str, Any] | None) -> dict[str, str] | None:
    if rates is None:
        return None
    return {name: str(rate) for name, rate in rates.items()}


def _send_all(run: Run, steps: Sequence[Mapping[str, Any]], service: Service) -> None:
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
        text = json.dumps(step["body"], ensure_ascii=False)
        # Half a character, which JSON can escape, has no other form.
        is_whole = text.isascii() or not _HALF.search(text)
        return text.encode() if is_whole else json.dumps(step["body"]).encode()
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
