"""What is understood as a request: raw ones, and commands of curl."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from headwater_ingest.explain.curl import read_curl
from headwater_ingest.explain.http_request import read_raw

if TYPE_CHECKING:
    from pathlib import Path

    from packages.ingest.tests.explain.conftest import Explainer

URL = "http://node:8080/api/event"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_raw_request_is_read_with_either_line_end(end: str) -> None:
    lines = ["POST /api/event?debug=1 HTTP/1.1", "Content-Type: text/plain", "", "{}"]

    request = read_raw(end.join(lines).encode())

    assert (request.method, request.path, request.query) == (
        "POST",
        "/api/event",
        b"debug=1",
    )
    assert request.headers == [(b"content-type", b"text/plain")]
    assert request.body == b"{}"


def test_what_an_editor_adds_to_a_body_is_no_part_of_it() -> None:
    assert read_raw(b"POST /\n\nbody\r\n").body == b"body"
    assert read_raw(b"POST /\nContent-Length: 3\n\nbody").body == b"bod"
    assert read_raw(b"POST /").body == b""


def test_a_body_that_is_shorter_than_stated_is_noted() -> None:
    (note,) = read_raw(b"POST /\nContent-Length: 9\n\nbody").notes

    assert "Content-Length is 9, but the body has 4 bytes" in note


def test_a_raw_request_may_name_a_whole_url() -> None:
    assert read_raw(f"POST {URL} HTTP/1.1\n\n".encode()).path == "/api/event"


def body_of(command: str) -> bytes:
    return read_curl(f"curl {URL} {command}".encode()).body


@pytest.mark.parametrize(
    "options,body",
    [
        ("""-d '{"n": "a"}'""", b'{"n": "a"}'),
        (r'''-d "{\"n\": \"a\"}"''', b'{"n": "a"}'),
        (r"""-d $'it\'s\n\u0041\x42\u00e9\ud83d\ude00'""", "it's\nABé😀".encode()),
        ("--data a=1 --data-raw '@b=2'", b"a=1&@b=2"),
        ("--data-urlencode 'u=a b&c'", b"u=a+b%26c"),
        ("--data-urlencode 'a b'", b"a+b"),
        ("-da=1", b"a=1"),
        ("-sSid a=1", b"a=1"),
        ("-d \\\n  a=1 \\\r\n -s", b"a=1"),
        ("-d 'a\\\nb'", b"a\\\nb"),
        ("-d 'it'\\''s'", b"it's"),
        ("-d a=1 | jq .", b"a=1"),
        ("-d a=1 > file -d b", b"a=1"),
        ("--json '{\"a\":' --json '1}'", b'{"a":1}'),
        ("", b""),
    ],
)
def test_the_body_is_what_curl_would_send(options: str, body: bytes) -> None:
    assert body_of(options) == body


def test_a_body_in_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b'{"a":\r\n1}\n')

    assert body_of(f"-d @{file}") == b'{"a":1}'
    assert body_of(f"--data-binary @{file}") == b'{"a":\r\n1}\n'


@pytest.mark.parametrize(
    "options,headers",
    [
        ("", {b"user-agent": b"curl/8", b"accept": b"*/*"}),
        ("-A Firefox", {b"user-agent": b"Firefox", b"accept": b"*/*"}),
        ("-H 'user-agent: Own'", {b"user-agent": b"Own", b"accept": b"*/*"}),
        ("-H User-Agent: -H 'Accept:'", {}),
        ("-A '' -H 'X-Empty;' -H Accept:", {b"x-empty": b""}),
        (
            "-e https://a.example/ -H Accept: -A x",
            {b"user-agent": b"x", b"referer": b"https://a.example/"},
        ),
        (
            "-H Accept: -A x -d a=1",
            {
                b"user-agent": b"x",
                b"content-type": b"application/x-www-form-urlencoded",
            },
        ),
        (
            "-A x --json 1",
            {
                b"user-agent": b"x",
                b"accept": b"application/json",
                b"content-type": b"application/json",
            },
        ),
    ],
)
def test_the_headers_are_what_curl_would_send(
    options: str, headers: dict[bytes, bytes]
) -> None:
    assert dict(read_curl(f"curl {URL} {options}".encode()).headers) == headers


@pytest.mark.parametrize(
    "options,method",
    [("", "GET"), ("-d a", "POST"), ("-XPUT -d a", "PUT"), ("-I", "HEAD")],
)
def test_the_method_is_what_curl_would_send(options: str, method: str) -> None:
    assert read_curl(f"curl {URL} {options}".encode()).method == method


def test_a_login_is_left_out_and_noted() -> None:
    request = read_curl(f"$ curl -u me:secret {URL}".encode())

    assert "login" in request.notes[0]
    assert b"authorization" not in dict(request.headers)


@pytest.mark.parametrize(
    "text,told",
    [
        ("", "begins no request"),
        ("hello", "`hello` begins no request"),
        ("hello world", "`hello world` begins no request"),
        ("Hello /world", "begins no request"),
        ("hello to HTTP/1.1", "begins no request"),
        ("POST events", "begins no request"),
        ('curl ^"http://node/^" ^\n  -d ^"a^"', "Copy as cURL (bash)"),
        ("<html> x", "begins no request"),
        ("POST / HTTP/1.1 more", "begins no request"),
        ("POST /\nno header\n\n", "`no header` is no header"),
        ("POST /\n{}", "an empty line before the body"),
        ("POST /\nTransfer-Encoding: chunked\n\n", "leave the header out"),
        ("POST http://[::1 HTTP/1.1\n\n", "is no URL"),
        ("curl", "has 0 URLs"),
        (f"curl {URL} {URL}", "has 2 URLs"),
        (f"curl {URL} -d 'a", "no closing quotation"),
        (f"curl {URL} -d", "needs a value"),
        (f"curl {URL} --form a=1", "`--form` is not understood: leave it out"),
        (f"curl {URL} -F a=1", "`-F` is not understood"),
        (f"curl {URL} -d @/nowhere/at/all", "`/nowhere/at/all`, which cannot be read"),
    ],
)
def test_what_is_no_request_is_told(explainer: Explainer, text: str, told: str) -> None:
    result = explainer.run(text)

    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(
    "options", [["--peer", "me"], ["--at", "soon"], ["--at", "9999-12-31"]]
)
def test_wrong_options_are_told(explainer: Explainer, options: list[str]) -> None:
    assert explainer.run("GET / HTTP/1.1\n\n", *options).exit_code == 2


def test_a_file_is_read_as_standard_input_is(
    explainer: Explainer, tmp_path: Path
) -> None:
    file = tmp_path / "request.txt"
    file.write_text(f"curl {URL} --json '{json.dumps({'n': 'a'})}'")

    explanation = explainer.explain("", str(file))

    assert explanation["answer"]["status"] == 400


def test_a_file_that_is_not_there_is_told(explainer: Explainer) -> None:
    assert explainer.run("", "nowhere.txt").exit_code == 2
