"""The conformance cases, all of them, and that the suite tells right from wrong."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.compare import Findings, relate, same
from tests.conformance.drive import Verdict, judge
from tests.conformance.exceptions import read_exceptions
from tests.conformance.run import Report, project_files, read_cases, sort
from tests.conformance.service import Service, running_service

Case = dict[str, Any]


@pytest.fixture(scope="module")
def contents() -> list[dict[str, Any]]:
    return read_cases(project_files())


@pytest.fixture(scope="module")
def service(
    contents: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("conformance")
    [places] = [each["meta"]["geo_db"] for each in contents if "geo_db" in each["meta"]]
    with running_service(directory, places["records"]) as service:
        yield service


@pytest.fixture(scope="module")
def cases(contents: list[dict[str, Any]]) -> list[Case]:
    return [case for each in contents for case in each["cases"]]


def test_every_case_passes_but_the_exceptions_and_no_exception_is_stale(
    cases: list[Case], service: Service
) -> None:
    report = sort(judge(cases, service), read_exceptions())
    assert not report.failed, report.describe()
    assert not report.stale
    assert len(report.passed) >= 0.95 * len(cases) > 380


def test_exceptions_are_of_cases_that_there_are(cases: list[Case]) -> None:
    assert read_exceptions().keys() <= {case["id"] for case in cases}


def test_ids_of_cases_are_unique(cases: list[Case]) -> None:
    assert len({case["id"] for case in cases}) == len(cases)


def test_what_is_not_as_a_case_expects_is_found(service: Service) -> None:
    right = _case(
        status=202,
        dropped=None,
        events_count=1,
        sessions_count=1,
        event={"meta.key": ["a", "b"], "meta.key#len": 2, "meta.key#contains": "a"},
        telemetry=[["buffered", 1]],
    )
    wrong = [
        {**right, "id": str(change), "expect": {**right["expect"], **change}}
        for change in _WRONG
    ]
    first, *others = judge([right, *wrong], service)
    assert not first.problems
    for verdict in others:
        assert len(verdict.problems) == 1, verdict


@pytest.mark.parametrize(
    "site",
    [
        {"colour": "red"},
        {"rate_limit": {"threshold": 1, "colour": "red"}},
        {"shields": {"colour": ["red"]}},
        {"revenue_goals": [{"event_name": "a", "currency": "EUR", "colour": "red"}]},
    ],
    ids=["site", "rate limit", "shields", "goals"],
)
def test_a_case_with_an_unknown_setup_fails(
    site: dict[str, Any], service: Service
) -> None:
    case = _case(status=202)
    strange = {**case, "site": {**case["site"], **site}}
    [verdict] = judge([strange], service)
    assert "colour" in verdict.problems[0]


@pytest.mark.parametrize(
    "expect",
    [{"colour": "red"}, {"steps": [{"colour": "red"}]}, {"telemetry": [["colour", 1]]}],
    ids=["case", "step", "metric"],
)
def test_a_case_that_expects_what_is_unknown_fails(
    expect: dict[str, Any], service: Service
) -> None:
    [verdict] = judge([_case(**expect)], service)
    assert "colour" in verdict.problems[0]


def test_an_event_of_a_unit_case_with_an_unknown_field_fails(service: Service) -> None:
    events = [{"name": "pageview", "colour": "red"}]
    unit = {"fn": "session.on_events", "args": {"events": events}}
    case = {"id": "unit", "level": "unit", "site": {"domain": "site.example"}}
    [verdict] = judge([{**case, "unit": unit, "expect": {"session": {}}}], service)
    assert "colour" in verdict.problems[0]


def test_null_of_a_parsed_field_means_that_it_is_empty(service: Service) -> None:
    right, wrong = _case(parsed={"referrer": None}), _case(parsed={"user_agent": None})
    request = {**_REQUEST, "headers": {**_HEADERS, "user-agent": "curl/8"}}
    cases = [{**each, "request": request} for each in (right, wrong)]
    first, second = judge(cases, service)
    assert not first.problems
    assert "user_agent" in second.problems[0]


def test_raw_rows_of_sessions_are_passed_over(service: Service) -> None:
    rows = [{"sign": 1}, {"sign": -1}, {"sign": 1}]
    [verdict] = judge([_case(session_rows=rows)], service)
    assert verdict.skipped is not None
    assert verdict.skipped.startswith("design: ")


def test_a_function_without_a_seam_is_skipped_with_the_reason(service: Service) -> None:
    unit = {"fn": "moon.phase", "args": {}}
    case = {"id": "unit", "level": "unit", "site": {}, "unit": unit, "expect": {}}
    [verdict] = judge([case], service)
    assert verdict.skipped == "no seam moon.phase"


@pytest.mark.parametrize(
    "steps",
    [
        [{"at": "23:50"}, {"at": "00:10"}],
        [{"at": "23:50"}, {"at": "00:10", "before": "rotate_salts"}],
        [{}, {"delay_s": 60, "before": ["rotate_salts"]}],
    ],
    ids=["by the clock", "on demand at midnight", "on demand"],
)
def test_a_session_outlives_one_rotation_of_the_salts(
    steps: list[dict[str, Any]], service: Service
) -> None:
    same = {"session_id": "same", "user_id": "same"}
    [verdict] = judge([_sequence(steps, sessions_count=1, relation=same)], service)
    assert not verdict.problems


def test_a_session_does_not_outlive_two_rotations(service: Service) -> None:
    steps = [{}, {"before": ["rotate_salts", "rotate_salts"]}]
    different = {"session_id": "different", "user_id": "different"}
    [verdict] = judge([_sequence(steps, relation=different)], service)
    assert not verdict.problems


def test_requests_may_be_in_work_at_once(service: Service) -> None:
    steps = [{}, {"concurrent": True}, {"concurrent": True}]
    case = _sequence(steps, events_count=3, sessions_count=1)
    [verdict] = judge([case], service)
    assert not verdict.problems


def test_an_exception_that_passes_is_stale() -> None:
    report = sort([Verdict({"id": "a"})], {"a": "design: it is so"})
    assert report.stale == ["a"]


def test_an_exception_that_fails_counts_as_skipped() -> None:
    verdicts = [Verdict({"id": "a"}, ["wrong"]), Verdict({"id": "b"}, ["wrong"])]
    report = sort(verdicts, {"a": "design: it is so"})
    assert report.summary == "0 passed, 1 failed, 1 skipped"


@pytest.mark.parametrize("reason", ["because", "§16 row 16: no", "agent:", "design"])
def test_exceptions_need_a_reason_that_counts(reason: str, tmp_path: Path) -> None:
    path = tmp_path / "exceptions.toml"
    path.write_text(f'a = "{reason}"', "utf-8")
    with pytest.raises(ValueError, match="needs a reason"):
        read_exceptions(path)


def test_exceptions_for_agents_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "exceptions.toml"
    path.write_text("".join(f'a{n} = "agent: odd"\n' for n in range(9)), "utf-8")
    with pytest.raises(ValueError, match="9 agents"):
        read_exceptions(path)


def test_the_last_line_counts() -> None:
    report = Report([], [Verdict({"id": "a"}, ["x: expected 1, got 2"])], [], [])
    *_, failure, last = report.describe().splitlines()
    assert failure.strip() == "x: expected 1, got 2"
    assert re.fullmatch("0 passed, 1 failed, 0 skipped", last)


def test_decimals_and_padded_texts_are_compared_by_what_they_mean() -> None:
    findings = Findings()
    findings.expect_fields(
        "event",
        {"country": "", "code": "GB"},
        {
            "country": "\0\0",
            "code": b"GB",
        },
    )
    assert not findings.lines
    assert not same("7.14", "7.140")


def test_relations_need_two_rows() -> None:
    assert relate([{"a": 1}], "a") == "in 1 rows"
    assert relate([{"a": 1}, {"a": 1}, {"a": 2}], "a").startswith("mixed")


_WRONG: list[dict[str, Any]] = [
    {"status": 200},
    {"response_body": "no"},
    {"response_headers": {"access-control-allow-origin": None}},
    {"response_headers": {"access-control-allow-origin#contains": "example"}},
    {"dropped": "bot"},
    {"events_count": 2},
    {"sessions_count": 0},
    {"event": {"pathname": "/other"}},
    {"event": {"meta.key#len": 3}},
    {"event": {"meta.key#contains": "c"}},
    {"event": {"no_such_column": ""}},
    {"session": {"is_bounce": False}},
    {"events": [{"name": "pageview"}, {"name": "pageview"}]},
    {"relation": {"session.user_id==event.user_id": False}},
    {"parsed": {"remote_ip": "203.0.113.8"}},
    {"telemetry": [["buffered", 2]]},
]
"""What is said wrongly of an event that is stored."""

_BODY = {
    "name": "pageview",
    "url": "https://site.example/page",
    "domain": "site.example",
    "props": {"a": 1, "b": 2},
}
_HEADERS = {"content-type": "text/plain", "x-forwarded-for": "203.0.113.7"}
_REQUEST = {
    "method": "POST",
    "path": "/api/event",
    "headers": _HEADERS,
    "body": _BODY,
}


def _case(**expect: object) -> Case:
    return {
        "id": "right",
        "level": "http",
        "site": {"domain": "site.example"},
        "request": _REQUEST,
        "expect": expect,
    }


def _sequence(steps: Sequence[dict[str, Any]], **expect: object) -> Case:
    case = _case(**expect)
    del case["request"]
    return {**case, "sequence": [{**_REQUEST, **step} for step in steps]}
