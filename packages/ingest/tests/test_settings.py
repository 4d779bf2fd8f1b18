import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from headwater_ingest.errors import SettingsError
from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import load_settings, redact
from headwater_ingest.settings_reference import reference_page

ROOT = Path(__file__).parents[3]


def problems_of(environ: dict[str, str], file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, file)
    return caught.value.problems


def write(folder: Path, text: str) -> Path:
    path = folder / "headwater.toml"
    path.write_text(text)
    return path


def test_an_empty_environment_gives_the_defaults() -> None:
    loaded = load_settings({"PATH": "/bin"})

    assert loaded.values == Settings()
    assert loaded.sources == {}


def test_values_take_the_type_of_their_setting() -> None:
    environ = {
        "HEADWATER_PORT": "0",
        "HEADWATER_BLOCK_SECONDS": "0.5",
        "HEADWATER_DATA_DIR": "/srv/headwater",
        "HEADWATER_LOG_FORMAT": "json",
    }

    values = load_settings(environ).values

    assert values.port == 0
    assert values.block_seconds == 0.5
    assert values.data_dir == Path("/srv/headwater")
    assert values.log_format == "json"


@pytest.mark.parametrize(
    "text,expected",
    [
        ("10.1.2.3, 2001:DB8::/32", ("10.1.2.3/32", "2001:db8::/32")),
        ("192.0.2.77/24", ("192.0.2.0/24",)),
        ("none", ()),
    ],
)
def test_networks_come_as_a_list_with_commas(
    text: str, expected: tuple[str, ...]
) -> None:
    values = load_settings({"HEADWATER_TRUSTED_PROXIES": text}).values

    assert values.trusted_proxies == expected


def test_networks_come_as_a_list_of_toml(tmp_path: Path) -> None:
    file = write(tmp_path, 'trusted_proxies = ["10.0.0.1", "fe80::/10"]\n')

    loaded = load_settings({}, file)

    assert loaded.values.trusted_proxies == ("10.0.0.1/32", "fe80::/10")
    assert 'trusted_proxies = ["10.0.0.1/32", "fe80::/10"]' in loaded.show()


@pytest.mark.parametrize("text", ["10.0.0.0/33", "proxy", "10.0.0.1,", "none,::1"])
def test_networks_that_are_none_are_named(text: str) -> None:
    (problem,) = problems_of({"HEADWATER_TRUSTED_PROXIES": text})

    assert problem == (
        f"trusted_proxies = {text!r} (environment HEADWATER_TRUSTED_PROXIES): give "
        "addresses and networks, separated by commas, or `none`"
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'port = 1\nlisten_host = "::1"\n')

    loaded = load_settings({"HEADWATER_PORT": "2"}, file)

    assert (loaded.values.port, loaded.values.listen_host) == (2, "::1")
    assert loaded.sources == {
        "port": "environment HEADWATER_PORT",
        "listen_host": f"file {file}",
    }


def test_the_variable_names_the_file_unless_the_caller_does(tmp_path: Path) -> None:
    file = write(tmp_path, "port = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("port = 2\n")
    environ = {"HEADWATER_CONFIG": str(file)}

    assert load_settings(environ).values.port == 1
    assert load_settings(environ, other).values.port == 2


def test_a_variable_that_is_empty_counts_as_not_set(tmp_path: Path) -> None:
    environ = {"HEADWATER_PORT": "", "HEADWATER_CONFIG": ""}

    assert load_settings(environ).values.port == Settings().port


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, 'prot = 1\nblock_rows = "many"\n')
    environ = {"HEADWATER_PORT": "70000", "HEADWATER_LOG_LEVLE": "info"}

    problems = problems_of(environ, file)

    assert problems == (
        f"`prot` in {file} is no setting: did you mean `port`?",
        "HEADWATER_LOG_LEVLE is no setting: did you mean `HEADWATER_LOG_LEVEL`?",
        f"block_rows = 'many' (file {file}): give a whole number from 1 to 1000000",
        (
            "port = '70000' (environment HEADWATER_PORT): "
            "give a whole number from 0 to 65535"
        ),
    )


@pytest.mark.parametrize(
    "name,value,expected",
    [
        ("LISTEN_HOST", "http://localhost:8080", "a host name or an address"),
        ("BLOCK_SECONDS", "nan", "seconds from 0.01 to 3600"),
        ("NOT_READY_SECONDS", "-1", "seconds from 0 to 3600"),
        ("CLICKHOUSE_URL", "http://host", "`embedded` or `clickhouse://"),
        ("LOG_FORMAT", "xml", "one of `auto`, `json`, `console`"),
        ("JOURNAL_MAX_BYTES", "10GB", "a whole number from 1048576 up"),
    ],
)
def test_a_wrong_value_is_told_what_is_right(
    name: str, value: str, expected: str
) -> None:
    (problem,) = problems_of({f"HEADWATER_{name}": value})

    assert expected in problem
    assert f"HEADWATER_{name}" in problem
    assert repr(value) in problem


@pytest.mark.parametrize("text", ["data_dir = 7", 'data_dir = ""', "port = [1]"])
def test_a_value_of_a_wrong_kind_in_the_file_is_a_problem(
    text: str, tmp_path: Path
) -> None:
    (problem,) = problems_of({}, write(tmp_path, text))

    assert problem.startswith(text.split(maxsplit=1)[0])


def test_a_name_that_resembles_nothing_is_answered_with_all_names() -> None:
    (problem,) = problems_of({"HEADWATER_XYZZY": "1"})

    assert "known are `HEADWATER_ADMIN_TOKEN`" in problem


@pytest.mark.parametrize(
    "name",
    [
        "HEADWATER_WRITE_KEY",
        "HEADWATER_HOST",
        "HEADWATER_DISABLED",
        "HEADWATER_E2E_CLICKHOUSE",
    ],
)
def test_variables_of_the_client_and_of_the_tests_are_left_alone(name: str) -> None:
    assert load_settings({name: "1"}).values == Settings()


def test_a_file_that_is_missing_or_broken_is_a_problem(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    broken = write(tmp_path, "port = = 1")

    assert problems_of({}, missing) == (
        f"config file {missing}: cannot be read: No such file or directory",
    )
    (problem,) = problems_of({}, broken)
    assert problem.startswith(f"config file {broken}: is not TOML: ")


def test_what_is_shown_is_toml_with_the_source_of_each_value() -> None:
    loaded = load_settings({"HEADWATER_PORT": "1"})

    shown = loaded.show()

    table = tomllib.loads(shown)
    not_set = set(re.findall("^# ([a-z_]+) is not set", shown, re.MULTILINE))
    assert "clickhouse_cluster" in not_set
    assert {*table, *not_set} == set(Settings.__struct_fields__)
    assert table["port"] == 1
    assert table["sites_file"] == "data/sites.toml"
    port, host = (
        next(line for line in shown.splitlines() if line.startswith(key))
        for key in ("port", "listen_host")
    )
    assert port.endswith("# environment HEADWATER_PORT")
    assert host.endswith("# default")


def test_the_sources_stand_in_one_column() -> None:
    shown = load_settings({}).show()

    ends = [line for line in shown.splitlines() if line.endswith("  # default")]
    assert len(ends) == len(Settings.__struct_fields__)
    assert len({len(line) for line in ends}) == 1
    assert tomllib.loads(shown)["trusted_proxies"] == list(Settings().trusted_proxies)


def test_a_password_is_never_shown() -> None:
    url = "clickhouse://admin:p@ss/word@host:9000/db"

    shown = load_settings({"HEADWATER_CLICKHOUSE_URL": url}).show()
    (problem,) = problems_of({"HEADWATER_CLICKHOUSE_URL": "admin:p@ss@host"})

    assert 'clickhouse_url = "clickhouse://admin:***@host:9000/db"' in shown
    assert "'admin:***@host'" in problem


def test_the_password_of_redis_is_never_shown() -> None:
    url = "rediss://ada:secret@host:6379/0"

    shown = load_settings({"HEADWATER_REDIS_URL": url}).show()
    wrong = problems_of({"HEADWATER_REDIS_URL": f"{url}?socket_timeout=60"})

    assert 'redis_url = "rediss://ada:***@host:6379/0"' in shown
    assert "secret" not in "".join(wrong)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://:password@host:6379/2",
        "rediss://[::1]:6379",
        "unix:///run/redis.sock",
        "unix://user:password@/run/redis.sock",
    ],
)
def test_redis_is_named_by_a_url(url: str) -> None:
    assert load_settings({"HEADWATER_REDIS_URL": url}).values.redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "host:6379",
        "http://host",
        "redis://",
        "redis://:pass/word@host",
        "redis://host/name",
        "redis://host?db=1",
        "unix:///run/redis.sock?password=secret",
    ],
)
def test_what_is_no_url_of_a_redis_is_refused(url: str) -> None:
    (problem,) = problems_of({"HEADWATER_REDIS_URL": url})

    assert "give `redis://" in problem


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    token = "a-secret-of-the-operator"
    loaded = load_settings({"HEADWATER_ADMIN_TOKEN": token})
    file = write(tmp_path, 'admin_token = ["a-secret-of-the-operator"]')
    problems = [
        *problems_of({"HEADWATER_ADMIN_TOKEN": token[:15]}),
        *problems_of({}, file),
    ]

    assert loaded.values.admin_token == token
    assert 'admin_token = "***"' in loaded.show()
    assert token not in loaded.show() + repr(loaded)
    assert problems == [
        (f"admin_token = '***' ({source}): give 16 characters or more")
        for source in ("environment HEADWATER_ADMIN_TOKEN", f"file {file}")
    ]


@pytest.mark.parametrize(
    "url", ["embedded", "clickhouse://host:9000/db", "clickhouse://user@host"]
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert redact(url) == url


def test_the_sites_file_lies_in_the_data_directory_unless_it_is_named() -> None:
    data_dir = Path("/srv")

    assert Settings(data_dir=data_dir).sites_path == data_dir / "sites.toml"
    named = Settings(data_dir=data_dir, sites_file=Path("/etc/sites.toml"))
    assert named.sites_path == Path("/etc/sites.toml")


def test_the_embedded_clickhouse_is_the_default() -> None:
    assert Settings().is_embedded
    assert not Settings(clickhouse_url="clickhouse://host").is_embedded


def test_every_setting_has_a_line_in_the_reference() -> None:
    page = reference_page()

    for field in msgspec.structs.fields(Settings):
        (line,) = (line for line in page.splitlines() if f"| `{field.name}` |" in line)
        assert line.count("|") == 5


def test_the_reference_in_the_docs_is_current() -> None:
    assert (ROOT / "docs/reference/settings.md").read_text() == reference_page(), (
        "write it anew: .venv/bin/python -c"
        " 'from headwater_ingest.settings_reference import *;"
        ' print(reference_page(), end="")\' > docs/reference/settings.md'
    )
