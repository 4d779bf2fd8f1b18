import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.clickhouse.url import ClickHouseUrl
from headwater_ingest.errors import ClickHouseUrlError

SECRET = "hush-hush"


def test_all_parts_are_read() -> None:
    url = ClickHouseUrl.parse("clickhouse://anna:s%40fe%2F@db.example.com:9001/events")

    assert url == ClickHouseUrl(
        "db.example.com", port=9001, user="anna", password="s@fe/", database="events"
    )


@pytest.mark.parametrize(
    "text", ["clickhouse://db", "clickhouse://db/", "clickhouse://@db"]
)
def test_what_is_left_out_has_its_default(text: str) -> None:
    url = ClickHouseUrl.parse(text)

    assert url.redacted() == "clickhouse://default@db:9000/headwater"


def test_the_letter_s_means_tls_on_its_own_port() -> None:
    url = ClickHouseUrl.parse("clickhouses://db/x?ca=/etc/ca%20file.pem")

    assert (url.tls, url.port, url.ca_file) == (True, 9440, "/etc/ca file.pem")


def test_an_ipv6_address_stands_in_brackets() -> None:
    url = ClickHouseUrl.parse("clickhouse://[::1]:9001")

    assert (url.host, url.port, url.address) == ("::1", 9001, "[::1]:9001")


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("localhost:9000", "must start with clickhouse://"),
        ("postgres://db", "must start with clickhouse://"),
        ("http://db:8123", "HTTP interface"),
        ("clickhouse://", "host is missing"),
        ("clickhouse://:9000/x", "host is missing"),
        ("clickhouse://db:0", "port is not a number from 1"),
        ("clickhouse://db:70000", "port is not a number from 1"),
        ("clickhouse://db:native", "port is not a number from 1"),
        ("clickhouse://[db", "not IPv6"),
        ("clickhouse://db/a/b", "more than one '/'"),
        ("clickhouse://db/a?secure=1", "only option"),
        ("clickhouse://db/a?ca=x", "needs clickhouses://"),
        ("clickhouse://db/a#b", "there is a '#'"),
    ],
)
def test_a_wrong_url_is_refused_and_the_mistake_named(
    text: str, complaint: str
) -> None:
    with pytest.raises(ClickHouseUrlError) as caught:
        ClickHouseUrl.parse(text)

    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("character", ":/?#@%[")
def test_a_refusal_never_quotes_an_unquoted_password(character: str) -> None:
    text = f"clickhouse://anna:{SECRET}{character}{SECRET}@db:9000/x"
    try:
        shown = repr(ClickHouseUrl.parse(text))
    except ClickHouseUrlError as error:
        shown = str(error)

    assert SECRET not in shown


def test_nothing_that_is_printed_holds_the_password() -> None:
    url = ClickHouseUrl("db", password=SECRET)

    assert SECRET not in f"{url} {url!r} {url.redacted()}"
    assert SECRET in url.with_password()


names = st.text(string.printable, min_size=1)


@given(
    st.builds(
        ClickHouseUrl,
        host=st.sampled_from(["db", "db.example.com", "127.0.0.1", "fe80::1"]),
        port=st.integers(1, 65_535),
        user=names,
        password=st.text(),
        database=names,
        tls=st.just(value=True),
        ca_file=st.text(string.printable),
    )
)
def test_a_url_survives_being_written_and_read(url: ClickHouseUrl) -> None:
    assert ClickHouseUrl.parse(url.with_password()) == url
