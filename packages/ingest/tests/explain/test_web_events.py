"""`explain` about requests to `/api/event`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headwater_ingest.explain.hints import HINTS
from headwater_schema.outcomes import Reason

if TYPE_CHECKING:
    from packages.ingest.tests.explain.conftest import Explainer

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
AT = "2026-11-22T09:30:00Z"


def command(agent: str = FIREFOX, **fields: Any) -> str:
    body = {"n": "pageview", "u": "https://shop.example/a", "d": "shop.example"}
    return (
        "curl http://node:8080/api/event -H 'Content-Type: text/plain' "
        f"-A '{agent}' -d '{json.dumps({**body, **fields})}'"
    )


def test_an_event_that_is_stored_is_shown_with_its_row(explainer: Explainer) -> None:
    explanation = explainer.explain(command(), "--at", AT)

    (event,) = explanation["events"]
    assert event["outcome"] == "accepted"
    assert event["row"]["browser"] == "Firefox"
    assert event["row"]["timestamp"] == AT
    assert explanation["answer"]["body"] == "ok"
    assert explanation["hints"] == {}
    assert not {"user_id", "session_id"} & event["row"].keys()


def test_a_drop_is_shown_with_what_to_do(explainer: Explainer) -> None:
    result = explainer.run(command(agent="Googlebot/2.1"))

    assert result.exit_code == 0
    assert "shop.example: it is left out: bot" in result.stdout
    assert "put_device               ends here: bot" in result.stdout
    assert "x-headwater-dropped: bot" in result.stdout
    assert "open the page with an ordinary browser" in " ".join(result.stdout.split())


def test_every_reason_has_a_hint() -> None:
    assert HINTS.keys() == set(Reason)


def test_each_domain_is_shown(explainer: Explainer) -> None:
    request = command(d="shop.example,nowhere.example", u="https://x.example/admin/a")

    explanation = explainer.explain(request)

    assert [(each["event"], each["reason"]) for each in explanation["events"]] == [
        ("shop.example", "site_page_blocklist"),
        ("nowhere.example", "not_found"),
    ]
    assert set(explanation["hints"]) == {"site_page_blocklist", "not_found"}


def test_faults_are_shown(explainer: Explainer) -> None:
    result = explainer.run(command(u=None))

    assert result.exit_code == 0
    assert '400 {"errors":{"url":["is required"]}}' in result.stdout
    assert "nothing was taken" in result.stdout


def test_the_peer_decides_whose_headers_are_believed(explainer: Explainer) -> None:
    request = f"{command()} -H 'X-Forwarded-For: 192.0.2.7'"

    near = explainer.explain(request, "--peer", "10.0.0.1")
    far = explainer.explain(request, "--peer", "203.0.113.5")

    assert near["parsed"]["client"]["ip"] == "192.0.2.7"
    assert far["parsed"]["client"]["ip"] == "203.0.113.5"


def test_what_only_the_service_knows_is_noted(explainer: Explainer) -> None:
    engagement = explainer.explain(command(n="engagement", sd=10, e=1))
    limited = explainer.explain(command(d="small.example"))

    assert engagement["events"][0]["outcome"] == "accepted"
    assert any("open session" in note for note in engagement["notes"])
    assert any("rate limit" in note for note in limited["notes"])


def test_nothing_is_written(explainer: Explainer) -> None:
    before = explainer.files()

    explainer.run(command())

    assert explainer.files() == before


def test_another_method_is_answered_as_the_service_does(explainer: Explainer) -> None:
    explanation = explainer.explain("GET /api/event HTTP/1.1\n\n")

    assert explanation["answer"]["status"] == 404
    assert "404" in explanation["hints"]


def test_json_that_says_it_is_a_form_is_told(explainer: Explainer) -> None:
    def hints(*options: str) -> dict[str, str]:
        text = " ".join(["curl http://node/api/event", *options])
        found: dict[str, str] = explainer.explain(text)["hints"]
        return found

    body = '-d \'{"n":"pageview"}\''
    hint = hints(body)["400"]
    assert (
        "read as a form because of its type, application/x-www-form-urlencoded" in hint
    )
    assert "send `Content-Type: text/plain` or `application/json`" in hint
    assert "form" not in hints(body, "-H 'Content-Type: text/plain'")["400"]
    assert "form" not in hints("-d n=pageview")["400"]


def test_no_character_that_rules_a_terminal_is_printed(explainer: Explainer) -> None:
    result = explainer.run(command(n="\x1b[2J", r="https://a.example/\u202e"))

    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert "\\x1b[2J" in result.stdout
