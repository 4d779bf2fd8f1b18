"""What can be held against Docker's files without Docker: names that must agree."""

import re
from pathlib import Path

import pytest

from headwater_ingest.clickhouse.client import ClickHouseUrl
from headwater_ingest.settings_reader import load_settings

ROOT = Path(__file__).parents[4]
COMPOSE = "docker-compose.yml"
VARIABLE = re.compile(r"^\s*(HEADWATER_\w+)[=:] ?\"?([^\s\"\\]+)", re.MULTILINE)


@pytest.fixture
def environment() -> dict[str, str]:
    """What the service finds in the container, the password filled in."""
    text = "".join((ROOT / name).read_text() for name in ("Dockerfile", COMPOSE))
    filled = re.sub(r"\$\{CLICKHOUSE_PASSWORD:\?[^}]*\}", "filled-in", text)
    by_default = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", filled)
    return dict(VARIABLE.findall(by_default))


def test_the_container_has_settings_that_the_service_takes(
    environment: dict[str, str],
) -> None:
    settings = load_settings(environment).values

    assert (settings.listen_host, settings.port) == ("0.0.0.0", 8080)
    assert settings.data_dir == Path("/var/lib/headwater")


def test_the_service_logs_in_as_the_user_that_compose_creates(
    environment: dict[str, str],
) -> None:
    url = ClickHouseUrl.parse(environment["HEADWATER_CLICKHOUSE_URL"])
    compose = (ROOT / COMPOSE).read_text()

    assert url.host == "clickhouse"
    assert url.password == "filled-in"
    assert f"CLICKHOUSE_USER: {url.user}\n" in compose
    assert f"CLICKHOUSE_DB: {url.database}\n" in compose


def test_compose_holds_no_secret_and_refuses_to_start_without() -> None:
    passwords = re.findall(
        r"password[^$\n]*(\$\$?\S)", (ROOT / COMPOSE).read_text(), re.IGNORECASE
    )

    assert passwords
    assert set(passwords) <= {"${", "$$C"}


def test_every_variable_of_compose_is_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / COMPOSE).read_text()))
    example = (ROOT / ".env.example").read_text()
    explained = re.findall(r"^#?(\w+)=", example, re.MULTILINE)

    assert used == set(explained)


def test_the_example_leaves_the_password_to_the_operator() -> None:
    assert "CLICKHOUSE_PASSWORD=\n" in (ROOT / ".env.example").read_text()
