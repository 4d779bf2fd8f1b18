from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from headwater_ingest.errors import (
    RedisNotInstalledError,
    RedisUnreachableError,
    RedisUrlError,
)
from headwater_ingest.visitors.redis_client import make_client, ping

if TYPE_CHECKING:
    from tests.redis_server import RedisServer


@pytest.mark.parametrize("function", [make_client, ping])
def test_without_the_extra_the_way_to_install_it_is_told(
    function: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    assert callable(function)
    with pytest.raises(
        RedisNotInstalledError, match=r"pip install 'headwater-ingest\[redis\]'"
    ):
        function("redis://127.0.0.1")


@pytest.mark.parametrize("function", [make_client, ping])
@pytest.mark.parametrize(
    "url",
    ["redis://:secret@h:port/0", "redis://:secret@h:99999", "redis://:secret/1@h"],
)
def test_a_wrong_url_is_told_without_its_password(function: object, url: str) -> None:
    assert callable(function)
    with pytest.raises(RedisUrlError, match="HEADWATER_REDIS_URL") as caught:
        function(url)

    assert "secret" not in str(caught.value)


def test_a_redis_that_is_there_answers(redis_server: RedisServer) -> None:
    ping(redis_server.url)


def test_a_redis_that_is_not_there_is_told() -> None:
    with pytest.raises(RedisUnreachableError, match="start it"):
        ping("redis://127.0.0.1:1")
