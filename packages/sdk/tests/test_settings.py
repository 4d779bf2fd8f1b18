"""Wrong options are refused at construction, all of them in one clear message."""

from pathlib import Path
from typing import Any

import pytest

from headwater import Block, Client, HeadwaterError, SettingsError


def build(**options: Any) -> None:
    Client(**{"write_key": "key", "host": "http://localhost", **options})


@pytest.mark.parametrize(
    "option, value",
    [
        ("write_key", ""),
        ("write_key", None),
        ("write_key", "key\n"),
        ("write_key", "two words"),
        ("write_key", "schlüssel"),
        ("host", ""),
        ("host", None),
        ("host", "events.example.com"),
        ("host", "ftp://events.example.com"),
        ("host", "https://"),
        ("host", "https://host:port"),
        ("host", "https://host:0"),
        ("host", "https://host/?a=b"),
        ("host", "https://host/#top"),
        ("host", "https://two words"),
        ("host", "https://[half"),
        ("host", "https://user:password@host"),
        ("flush_at", 0),
        ("flush_at", 1.5),
        ("flush_at", True),
        ("flush_interval", 0),
        ("flush_interval", "5"),
        ("flush_interval", float("nan")),
        ("flush_interval", float("inf")),
        ("max_batch_events", 10_001),
        ("max_batch_bytes", 1023),
        ("max_batch_bytes", 21 * 1024 * 1024),
        ("max_queue_size", 0),
        ("max_queue_bytes", 1024),
        ("timeout", -1),
        ("max_retries", -1),
        ("exit_timeout", 0),
        ("overflow", "drop_some"),
        ("overflow", ["drop_oldest"]),
        ("overflow", Block(0)),
        ("overflow", Block(float("nan"))),
        ("compression", "brotli"),
        ("compression", None),
        ("proxy", 8080),
        ("ca_file", Path("ca.pem")),
        ("spool", 17),
        ("spool_max_bytes", 0),
        ("historical", 1),
        ("disabled", "yes"),
        ("strict", None),
        ("super_properties", ["a"]),
        ("before_send", "a function"),
        ("on_error", 17),
    ],
)
def test_wrong_option_is_named(option: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"{option} must be") as caught:
        build(**{option: value})
    assert len(caught.value.faults) == 1


def test_all_faults_come_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        build(write_key="", flush_at=0, timeout=0)
    message = str(caught.value)
    assert all(name in message for name in ("write_key", "flush_at", "timeout"))
    assert len(caught.value.faults) == 3


def test_message_does_not_show_the_key() -> None:
    with pytest.raises(SettingsError) as caught:
        build(write_key="secret key")
    assert "secret" not in str(caught.value)


def test_wrong_options_are_value_errors_and_ours() -> None:
    assert issubclass(SettingsError, ValueError)
    assert issubclass(SettingsError, HeadwaterError)


@pytest.mark.parametrize(
    "host",
    [
        "http://localhost:8000",
        "https://example.com/headwater/",
        "http://127.0.0.1",
        "http://[::1]:8000",
    ],
)
def test_hosts_may_have_ports_and_paths(host: str) -> None:
    build(host=host)


@pytest.mark.parametrize(
    "route", ["/ingest-events", "/user-properties/", "/api/event", "/api/event//"]
)
def test_host_with_a_route_is_refused_with_the_url_to_give(route: str) -> None:
    with pytest.raises(SettingsError, match=f"not 'http://a:1/b{route}'") as caught:
        build(host=f"http://a:1/b{route}")
    assert "host must be the base URL only, 'http://a:1/b'," in str(caught.value)


@pytest.mark.parametrize(
    "option, value",
    [
        ("flush_at", 10**9),
        ("flush_interval", 10**9),
        ("max_batch_bytes", 1024),
        ("max_retries", 0),
    ],
)
def test_extreme_options_are_allowed(option: str, value: object) -> None:
    build(**{option: value})


def test_proxy_is_not_shown_since_it_may_hold_a_password() -> None:
    with pytest.raises(SettingsError) as caught:
        build(proxy=b"http://user:hunter2@proxy")
    assert "hunter2" not in str(caught.value)


def test_zstd_is_refused_where_it_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headwater._faults.has_zstd", lambda: False)
    with pytest.raises(SettingsError, match="install zstandard"):
        build(compression="zstd")


def test_option_that_there_is_not_is_named() -> None:
    with pytest.raises(TypeError, match="flush_it"):
        build(flush_it=1)


def test_disabled_client_needs_no_key_but_good_options() -> None:
    with pytest.raises(SettingsError, match="flush_at") as caught:
        Client(disabled=True, flush_at=0)
    assert len(caught.value.faults) == 1
