import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.enrich.tags import CLICK_IDS, NO_TAGS, Tags, read_tags

TEXT = st.text(max_size=5)


def test_tags_are_taken_as_typed() -> None:
    parameters = {
        "utm_source": "Src",
        "utm_medium": "Med",
        "utm_campaign": "Cam",
        "utm_content": "Con",
        "utm_term": " Term ",
        "twclid": "1",
        "other": "x",
    }
    assert read_tags(parameters) == Tags("Src", "Med", "Cam", "Con", " Term ", "twclid")


def test_url_without_parameters_has_no_tags() -> None:
    assert read_tags({}) == NO_TAGS


@pytest.mark.parametrize(
    "parameters, source",
    [
        ({"utm_source": "a", "source": "b", "ref": "c"}, "a"),
        ({"source": "b", "ref": "c"}, "b"),
        ({"ref": "c"}, "c"),
        ({"utm_source": "", "source": "", "ref": "c"}, "c"),
        ({"utm_source": "", "source": "b"}, "b"),
        ({"utm_source": ""}, ""),
    ],
)
def test_first_source_that_is_not_empty_counts(
    parameters: dict[str, str], source: str
) -> None:
    assert read_tags(parameters).source == source


@pytest.mark.parametrize("first", range(len(CLICK_IDS)))
def test_first_click_id_in_order_counts_whatever_its_value(first: int) -> None:
    parameters = dict.fromkeys(reversed(CLICK_IDS[first:]), "")
    assert read_tags(parameters).click_id_param == CLICK_IDS[first]


@given(st.dictionaries(st.sampled_from([*CLICK_IDS, "ref", "utm_term"]) | TEXT, TEXT))
def test_any_parameters_have_tags(parameters: dict[str, str]) -> None:
    tags = read_tags(parameters)
    assert tags.term == parameters.get("utm_term", "")
    assert bool(tags.click_id_param) is bool(parameters.keys() & set(CLICK_IDS))
