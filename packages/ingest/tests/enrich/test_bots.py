from importlib.resources import files
from pathlib import Path

import msgspec
import pytest

from headwater_ingest.enrich.bots import BotRules, packaged_bots
from headwater_ingest.enrich.packaged import read_packaged
from headwater_ingest.enrich.user_agent import DeviceReader

READER = DeviceReader()
DATA = Path(__file__).parent / "data"


def read_agents(name: str) -> list[str]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("agent", read_agents("bots.txt"))
def test_bots_are_told(agent: str) -> None:
    assert READER.read(agent) is None


@pytest.mark.parametrize("agent", read_agents("no_bots.txt"))
def test_what_people_use_is_no_bot(agent: str) -> None:
    assert READER.read(agent) is not None


def test_unknown_program_with_an_address_is_a_bot_and_a_known_one_is_not() -> None:
    assert READER.read("Nobody/1.0 (https://nobody.example)") is None
    assert READER.read("PostmanRuntime/7.39.0 (https://nobody.example)") is not None


def test_pattern_that_rust_cannot_read_is_left_out() -> None:
    rules = BotRules(["one(?=s)", "two", "three("], without_client=["(?<!a)b", "four"])
    assert not rules.fit("ones")
    assert rules.fit("two")
    assert rules.fit_without_client("four")
    assert not rules.fit_without_client("two")


def test_rules_are_made_once() -> None:
    assert packaged_bots() is packaged_bots()


def test_every_exception_is_on_the_list_that_it_is_an_exception_from() -> None:
    table = msgspec.toml.decode(read_packaged("bots.toml"))
    crawlers = files("crawleruseragents") / "crawler-user-agents.json"
    listed = {each["pattern"] for each in msgspec.json.decode(crawlers.read_bytes())}
    assert set(table["patterns_of_people"]) - listed == set()
