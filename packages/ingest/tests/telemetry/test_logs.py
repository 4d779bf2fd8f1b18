import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from headwater_ingest.telemetry.logs import configure_logs


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")

    structlog.stdlib.get_logger("headwater").info("listening", port=8080)

    (line,) = lines(capsys)
    timestamp = line.pop("timestamp")
    assert line == {
        "event": "listening",
        "level": "info",
        "logger": "headwater",
        "port": 8080,
    }
    assert timestamp.endswith("Z")


def test_lines_of_other_libraries_have_the_same_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json")

    logging.getLogger("asyncio").warning("slow: %s", "callback", extra={"ms": 7})

    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["ms"]) == (
        "slow: callback",
        "warning",
        7,
    )


def test_an_exception_is_one_field(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")

    try:
        int("gone")
    except ValueError:
        logging.getLogger("asyncio").exception("broken")

    (line,) = lines(capsys)
    assert line["exception"].endswith("literal for int() with base 10: 'gone'")


def test_a_value_that_json_does_not_know_is_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json")

    structlog.stdlib.get_logger().info("odd", error=LookupError("gone"))

    (line,) = lines(capsys)
    assert line["error"] == "gone"


def test_lines_below_the_level_are_not_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("warning", "json")

    structlog.stdlib.get_logger("headwater").info("quiet")
    logging.getLogger("asyncio").info("quiet")
    structlog.stdlib.get_logger("headwater").warning("loud")

    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_the_web_server_is_mute_about_requests(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("debug", "json")

    logging.getLogger("uvicorn.access").info("203.0.113.7 GET /")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")

    assert [line["level"] for line in lines(capsys)] == ["warning"]


def test_without_a_terminal_the_form_is_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "auto")

    structlog.stdlib.get_logger().info("listening")

    assert lines(capsys)


def test_the_console_form_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "console")

    structlog.stdlib.get_logger().info("listening", port=8080)

    printed = capsys.readouterr().err
    assert "listening" in printed
    assert "port=8080" in printed
