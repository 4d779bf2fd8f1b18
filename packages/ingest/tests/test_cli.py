import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headwater_ingest import cli, cli_config
from headwater_ingest.cli import cli as commands
from headwater_ingest.clickhouse.client import connect
from headwater_ingest.clickhouse.embedded import EmbeddedClickHouse
from headwater_ingest.errors import SettingsError
from headwater_ingest.settings import Settings

SITES_COMMANDS = (
    "list",
    "add",
    "edit",
    "remove",
    "apply",
    "export",
    "rotate-key",
    "release",
)


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headwater_ingest", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "command",
    [
        *(
            [],
            ["serve"],
            ["migrate"],
            ["doctor"],
            ["explain"],
            ["config"],
            ["clickhouse"],
            ["sites"],
        ),
        *(["sites", command] for command in SITES_COMMANDS),
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(command: list[str], runner: CliRunner) -> None:
    result = runner.invoke(commands, [*command, "--help"])

    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


def test_the_version_is_told(runner: CliRunner) -> None:
    result = runner.invoke(commands, ["--version"])

    assert result.output.startswith("headwater-ingest, version ")


def test_the_settings_are_shown(runner: CliRunner) -> None:
    result = runner.invoke(commands, ["config", "show"], env={"HEADWATER_PORT": "1"})

    assert result.exit_code == 0
    assert "port = 1" in result.output


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_config_file_can_be_named_before_and_after_the_command(
    place: int, runner: CliRunner, tmp_path: Path
) -> None:
    file = tmp_path / "headwater.toml"
    file.write_text("port = 2\n")
    call = ["config", "show"]

    result = runner.invoke(
        commands, [*call[:place], "--config", str(file), *call[place:]]
    )

    assert "port = 2" in result.output


@pytest.mark.parametrize("command", [["doctor"], ["sites", "list"]], ids=" ".join)
def test_every_command_reads_the_config_file_that_is_named_last(
    command: list[str], runner: CliRunner, tmp_path: Path
) -> None:
    (tmp_path / "good.toml").write_text("port = 2\n")
    call = ["--config", "good.toml", *command, "--config", "missing.toml"]

    result = runner.invoke(commands, call)

    assert isinstance(result.exception, SettingsError)
    assert "missing.toml" in str(result.exception)


def test_the_doctor_fails_if_a_check_does(runner: CliRunner) -> None:
    environ = {"HEADWATER_CLICKHOUSE_URL": "clickhouse://127.0.0.1:1"}

    result = runner.invoke(commands, ["doctor"], env=environ)

    assert result.exit_code == 1
    assert "fail  clickhouse      cannot reach ClickHouse" in result.output


def test_the_doctor_is_content_before_the_first_start(runner: CliRunner) -> None:
    result = runner.invoke(commands, ["doctor"])

    assert result.exit_code == 0
    assert Settings().data_dir.exists() is False


def test_wrong_settings_are_all_told_without_a_traceback() -> None:
    result = run("serve", HEADWATER_PORT="eighty", HEADWATER_PROT="1")

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: HEADWATER_PROT is no setting: did you mean `HEADWATER_PORT`?",
        (
            "error: port = 'eighty' (environment HEADWATER_PORT): "
            "give a whole number from 0 to 65535"
        ),
    ]


def test_a_wrong_call_is_one_line() -> None:
    result = run("server")

    assert result.returncode == 2
    assert result.stderr.startswith("error: No such command 'server'")
    assert len(result.stderr.splitlines()) == 1


def test_a_call_without_a_command_prints_the_help() -> None:
    result = run()

    assert result.returncode == 2
    assert "Usage: headwater-ingest" in result.stderr


def test_an_unreachable_clickhouse_is_one_line() -> None:
    result = run("migrate", HEADWATER_CLICKHOUSE_URL="clickhouse://127.0.0.1:1")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: cannot reach ClickHouse at 127.0.0.1:1")


@pytest.mark.clickhouse
def test_migrating_twice_changes_nothing(runner: CliRunner) -> None:
    first = runner.invoke(commands, ["migrate"])
    second = runner.invoke(commands, ["migrate"])

    assert first.stdout.startswith("applied 0001_")
    assert second.stdout == "the tables are up to date\n"


@pytest.mark.clickhouse
def test_the_clickhouse_of_a_running_service_is_told_and_left_alone(
    runner: CliRunner,
) -> None:
    with EmbeddedClickHouse(Settings().clickhouse_dir) as server:
        port = server.url.port
        result = runner.invoke(commands, ["clickhouse"])
        with connect(server.url.without_database()) as client:
            assert client.execute("SELECT 1") == [(1,)]

    assert result.exit_code == 0
    assert "runs in" in result.stdout
    assert "?database=headwater" in result.stdout
    assert "--database headwater" in result.stdout
    assert f"native  127.0.0.1:{port} " in result.stdout


def test_a_clickhouse_of_your_own_is_not_taken_for_the_embedded_one(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWATER_CLICKHOUSE_URL", "clickhouse://127.0.0.1:1/headwater")

    result = runner.invoke(commands, ["clickhouse"])

    assert result.exit_code == 2
    assert "names a ClickHouse of your own" in result.stderr
    assert not Settings().clickhouse_dir.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["deadletters", "list"],
        ["deadletters", "replay", "--all"],
        ["replay", "--from", "2026-11-22"],
    ],
)
def test_a_command_in_the_wrong_directory_says_so_and_makes_nothing(
    command: list[str], tmp_path: Path
) -> None:
    result = run(*command, HEADWATER_DATA_DIR=str(tmp_path / "data"))

    assert result.returncode == 1
    assert "set HEADWATER_DATA_DIR to the directory of the service" in result.stderr
    assert not (tmp_path / "data").exists()


def test_an_interrupted_command_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_config, "load_settings", interrupt)

    assert cli.run(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == ""
