import pytest

from headwater_ingest.enrich.agent_rules import (
    AgentRules,
    Found,
    compile_tables,
    cut_version,
    join_version,
    take_rules,
)


@pytest.mark.parametrize(
    "pattern, agent, expected",
    [
        ("Foo/#", "Foo/1.2.3", Found("name", "1.2")),
        ("Foo/#", "Foo/7", Found("name", "7")),
        ("Foo/#", "Foo/v7.1", Found("name", "7.1")),
        ("Foo/#", "Foo/1_2_3", Found("name", "1.2")),
        ("Foo/#", "Bar (Foo/1.2)", Found("name", "1.2")),
        ("Foo/#", "Bar;Foo/1.2", Found("name", "1.2")),
        ("Foo/#", "BarFoo/1.2", None),
        ("Foo/#", "Foo/x", None),
        (".*Foo/#", "BarFoo/1.2", Found("name", "1.2")),
        ("^Foo/#", "Foo/1.2", Found("name", "1.2")),
        ("^Foo/#", "Bar Foo/1.2", None),
        ("Foo", "the Foo of it", Found("name", "")),
        ("Foo|Bar", "the Bar of it", Found("name", "")),
        (r"Foo (\d)[/ ](\d+)", "Foo 5/12.1", Found("name", "5.12")),
    ],
)
def test_rule_finds_what_it_describes(
    pattern: str, agent: str, expected: Found | None
) -> None:
    assert compile_tables({"name": [pattern]}).find(agent) == expected


def test_first_rule_that_fits_counts() -> None:
    rules = compile_tables({"a": ["one"], "b": ["one", "two"]}, {"c": ["two", "three"]})
    found = [rules.find(agent) for agent in ("two one", "two", "three")]
    assert [each and each.name for each in found] == ["a", "b", "c"]


def test_rule_of_ua_parser_names_what_it_caught() -> None:
    rules = AgentRules([("(Foo)[/ ](.*)", "$1 Browser", "$2", "7", None, None)])
    assert rules.find("Foo 1") == Found("Foo Browser", "1.7")


def test_rules_can_be_left_out() -> None:
    class Matcher:
        family, major, minor = "$1", None, None

        def __init__(self, regex: str) -> None:
            self.regex = regex

    matchers = [Matcher("(One)"), Matcher("(Two)")]
    taken = list(take_rules(matchers, without=["Two"]))
    assert taken == [("(One)", "$1", None, None, None, None)]


@pytest.mark.parametrize(
    "major, minor, version",
    [
        ("1", "2", "1.2"),
        ("1", None, "1"),
        ("1", "", "1"),
        (None, "2", ""),
        ("", "2", ""),
        ("1" * 11, "2", ""),
        ("1", "2" * 11, "1"),
    ],
)
def test_two_parts_make_a_version(
    major: str | None, minor: str | None, version: str
) -> None:
    assert join_version(major, minor) == version


@pytest.mark.parametrize(
    "text, version",
    [
        ("1.2.3", "1.2"),
        ("1.2", "1.2"),
        ("1", "1"),
        ("1.", "1"),
        ("", ""),
        (".1", ""),
        ("a.b", ""),
        ("1.b", ""),
        ("²", ""),
        ("1" * 11, ""),
    ],
)
def test_versions_are_cut_to_two_parts(text: str, version: str) -> None:
    assert cut_version(text) == version
