"""An exception is described with its causes and stacks, and without secrets."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from headwater._exceptions import describe_exception

if TYPE_CHECKING:
    from packages.sdk.tests.conftest import ClientMaker, MemoryTransport


def caught(function: Any, *arguments: object) -> BaseException:
    with pytest.raises(BaseException) as info:  # noqa: PT011 - whatever it is
        function(*arguments)
    return info.value


def fail() -> None:
    password = "hunter2"  # a variable that nobody may see
    raise KeyError(len(password))


def wrap() -> None:
    try:
        fail()
    except KeyError as error:
        raise ValueError("wrapped") from error


def listed(error: BaseException) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = describe_exception(error, handled=True)[
        "$exception_list"
    ]
    return found


def test_exception_is_described_by_type_message_and_stack() -> None:
    described = describe_exception(caught(fail), handled=True)
    [entry] = described["$exception_list"]
    assert (entry["type"], entry["value"], entry["module"]) == (
        "KeyError",
        "7",
        "builtins",
    )
    assert entry["mechanism"] == {"type": "generic", "handled": True}
    frame = entry["stacktrace"]["frames"][-1]
    assert entry["stacktrace"]["type"] == "raw"
    assert frame["filename"].endswith("test_exceptions.py")
    assert (frame["function"], frame["in_app"]) == ("fail", True)
    assert frame["lineno"] == fail.__code__.co_firstlineno + 2
    assert described["$exception_type"] == "KeyError"
    assert described["$exception_message"] == "7"
    assert described["$exception_level"] == "error"


def test_one_that_nobody_has_caught_is_fatal() -> None:
    described = describe_exception(ValueError(), handled=False)
    assert described["$exception_level"] == "fatal"
    assert described["$exception_list"][0]["mechanism"]["handled"] is False
    assert described["$exception_list"][0]["stacktrace"]["frames"] == []


def test_causes_follow_the_exception() -> None:
    assert [entry["type"] for entry in listed(caught(wrap))] == [
        "ValueError",
        "KeyError",
    ]


def test_what_was_being_handled_follows_unless_it_is_hidden() -> None:
    def during() -> None:
        try:
            fail()
        except KeyError:
            raise ValueError from None

    error = caught(during)
    assert [entry["type"] for entry in listed(error)] == ["ValueError"]
    error.__suppress_context__ = False
    assert [entry["type"] for entry in listed(error)] == ["ValueError", "KeyError"]


def test_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first
    assert len(listed(first)) == 2


def test_parts_of_a_group_follow_it() -> None:
    group = ExceptionGroup("several", [ValueError("a"), KeyError("b")])
    assert [entry["type"] for entry in listed(group)] == [
        "ExceptionGroup",
        "ValueError",
        "KeyError",
    ]


def test_deep_recursion_keeps_both_ends_of_the_stack() -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            fail()
        recurse(depth - 1)

    frames = listed(caught(recurse, 300))[0]["stacktrace"]["frames"]
    assert len(frames) == 100
    assert frames[0]["function"] == "caught"
    assert frames[-1]["function"] == "fail"


def test_libraries_and_the_interpreter_are_not_of_the_application() -> None:
    frames = listed(caught(json.loads, "{"))[0]["stacktrace"]["frames"]
    assert [frame["in_app"] for frame in frames] == [True, False, False, False]
    assert frames[-1]["filename"] == "json/decoder.py"
    assert frames[-1]["module"] == "json.decoder"


@pytest.mark.parametrize(
    "filename, shown, in_app",
    [
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", False),
        ("<string>", "<string>", True),
        ("/srv/secret-customer/shop/cart.py", "cart.py", True),
        ("/srv/site-packages/shop/cart.py", "cart.py", False),
    ],
)
def test_paths_say_nothing_of_the_machine(
    filename: str, shown: str, *, in_app: bool
) -> None:
    code = compile("1 / 0", filename, "exec")
    frame = listed(caught(exec, code))[0]["stacktrace"]["frames"][-1]
    assert (frame["filename"], frame["in_app"]) == (shown, in_app)


def test_variables_are_not_taken() -> None:
    assert "hunter2" not in str(describe_exception(caught(wrap), handled=True))


def test_secrets_in_messages_are_left_out() -> None:
    error = ConnectionError("postgres://app:hunter2@db/shop is away")
    [entry] = listed(error)
    assert entry["value"] == "postgres://app:[redacted]@db/shop is away"


def test_exception_without_text_costs_nothing() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise TypeError

    [entry] = listed(MuteError())
    assert entry["value"] == "<its text cannot be had: TypeError>"
    assert entry["type"].endswith("MuteError")


def test_capture_exception_takes_the_one_being_handled(
    make_client: ClientMaker, transport: MemoryTransport
) -> None:
    client = make_client()
    assert client.capture_exception() is None
    try:
        fail()
    except KeyError:
        assert client.capture_exception(properties={"order": 7})
    with client.context(distinct_id="user-1", request=8):
        client.capture_exception(ValueError("a"), handled=False)
    client.capture_exception(ValueError("b"), distinct_id="user-2", groups={"g": "k"})
    client.flush()
    events = transport.received.batches[0].events
    assert [(event.event, event.distinct_id) for event in events] == [
        ("$exception", "unattributed"),
        ("$exception", "user-1"),
        ("$exception", "user-2"),
    ]
    assert events[0].properties["order"] == 7
    assert events[0].properties["$exception_type"] == "KeyError"
    assert events[1].properties["request"] == 8
    assert events[2].groups == {"g": "k"}


def test_stack_is_that_of_the_program_not_of_the_client() -> None:
    frames = listed(caught(fail))[0]["stacktrace"]["frames"]
    assert all("headwater" not in frame["module"].split(".")[:1] for frame in frames)
    assert sys.exc_info() == (None, None, None)
