"""The default client: made once, or from the environment, and used by functions."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING

import pytest

import headwater
from headwater import Client, FlushResult, SettingsError, _default, _environment
from headwater._environment import VARIABLES, read_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packages.sdk.tests.conftest import MemoryTransport


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Has no default client and no variables; gives back those that there were."""
    for option in VARIABLES:
        monkeypatch.delenv(f"HEADWATER_{option.upper()}", raising=False)
    former = _default.replace_default(None)
    yield
    made = _default.replace_default(former)
    if made is not None:
        made.shutdown(0)


def test_functions_are_the_methods_of_the_default_client(
    transport: MemoryTransport,
) -> None:
    client = headwater.init("key", "http://localhost", transport=transport)
    assert headwater.default_client() is client
    assert headwater.capture("d", "captured", {"a": 1})
    with headwater.context({"$ip": "10.0.0.1"}, distinct_id="c", request=7):
        headwater.capture("in context")
        headwater.set({"plan": "pro"})
    headwater.set_once({"a": 1}, distinct_id="d")
    headwater.unset("a", distinct_id="d")
    headwater.add({"a": 1}, distinct_id="d")
    headwater.append({"a": 1}, distinct_id="d")
    headwater.identify("d", {"a": 1})
    headwater.group_identify("company", "acme")
    headwater.alias("d", "e")
    headwater.capture_exception(ValueError())
    assert headwater.flush(5) == FlushResult(11, 0, 0, timed_out=False)
    assert headwater.stats().delivered == 11
    assert headwater.shutdown() == FlushResult(0, 0, 0, timed_out=False)
    event = transport.received.batches[0].events[1]
    assert event.distinct_id == "c"
    assert event.properties == {"$ip": "10.0.0.1", "request": 7}


@pytest.mark.parametrize(
    "name",
    [
        *("alias", "capture", "capture_exception", "context", "flush", "identify"),
        *("group_identify", "set", "set_once", "shutdown", "stats", "unset"),
        *("add", "append"),
    ],
)
def test_functions_have_the_parameters_of_the_methods(name: str) -> None:
    method = inspect.signature(getattr(Client, name)).parameters
    function = inspect.signature(getattr(headwater, name)).parameters
    assert list(function) in (list(method)[1:], list(method))


def test_options_come_from_the_environment_where_they_are_not_given(
    monkeypatch: pytest.MonkeyPatch, transport: MemoryTransport
) -> None:
    monkeypatch.setenv("HEADWATER_WRITE_KEY", "key-of-the-environment")
    monkeypatch.setenv("HEADWATER_HOST", "http://localhost")
    monkeypatch.setenv("HEADWATER_FLUSH_AT", "1")
    client = headwater.init(host="http://127.0.0.1", flush_at=7, transport=transport)
    assert client._settings.write_key == "key-of-the-environment"
    assert client._settings.host == "http://127.0.0.1"
    assert client._settings.flush_at == 7


def test_without_init_the_environment_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADWATER_WRITE_KEY", "key")
    monkeypatch.setenv("HEADWATER_HOST", "http://localhost:1")
    assert headwater.capture("d", "e")
    assert headwater.stats().captured == 1


@pytest.mark.parametrize("variables", [{}, {"HEADWATER_WRITE_KEY": "key"}])
def test_without_anything_the_log_says_what_to_do_once(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variables: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert headwater.capture("d", "e") is None
    [record] = caplog.records
    assert "nothing is captured" in record.getMessage()
    assert "HEADWATER_HOST" in record.getMessage() or "host" in record.getMessage()


def test_disabled_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HEADWATER_DISABLED", "1")
    assert headwater.init().capture("d", "e") is None
    assert not caplog.records


@pytest.mark.parametrize(
    "text, value",
    [("1", True), ("TRUE", True), (" on ", True), ("no", False), ("0", False)],
)
def test_switches_are_read(text: str, *, value: bool) -> None:
    assert read_environment({"HEADWATER_STRICT": text}) == {"strict": value}


def test_all_variables_that_cannot_be_read_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        read_environment(
            {
                "HEADWATER_DISABLED": "perhaps",
                "HEADWATER_FLUSH_AT": "many",
                "HEADWATER_TIMEOUT": "",
            }
        )
    assert caught.value.faults == (
        "HEADWATER_DISABLED must be 1 or 0, not 'perhaps'",
        "HEADWATER_FLUSH_AT must be a whole number, not 'many'",
    )


def test_init_names_every_variable() -> None:
    described = inspect.getdoc(headwater.init) or ""
    for option in _environment.VARIABLES:
        assert f"`HEADWATER_{option.upper()}`" in described


def test_next_default_client_leaves_the_events_of_the_former_to_it(
    transport: MemoryTransport,
) -> None:
    former = headwater.init("key", "http://localhost", transport=transport)
    headwater.capture("d", "e")
    assert headwater.init(disabled=True) is headwater.default_client()
    assert former.flush(5).delivered == 1


def test_names_on_demand_are_there_and_others_are_not() -> None:
    for name in headwater.__all__:
        assert getattr(headwater, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        headwater.Klient  # noqa: B018 - it is the attribute that is missing
