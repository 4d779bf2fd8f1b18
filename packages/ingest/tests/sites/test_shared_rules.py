import gc
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.sites.shared_rules import SharedRules

TEXTS = st.lists(st.text(st.characters(codec=None), max_size=3), max_size=3).map(tuple)


class Rules:
    """Made of texts."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts = texts


@given(st.lists(TEXTS, max_size=20))
def test_rules_are_those_of_their_texts_and_made_once(
    lists: list[tuple[str, ...]],
) -> None:
    shared = SharedRules(Rules)
    first = [shared.get(texts) for texts in lists]

    assert [each.texts for each in first] == lists
    for texts, rules in zip(lists, first, strict=True):
        assert shared.get(texts) is rules


def test_lists_that_join_to_one_text_are_two() -> None:
    shared = SharedRules(Rules)
    joined, apart = shared.get(("a, b",)), shared.get(("a", "b"))

    assert (joined.texts, apart.texts) == (("a, b",), ("a", "b"))


def test_rules_that_nobody_has_are_let_go() -> None:
    made: Counter[tuple[str, ...]] = Counter()

    def make(texts: tuple[str, ...]) -> Rules:
        made[texts] += 1
        return Rules(texts)

    shared = SharedRules(make)
    shared.get(("a",))
    gc.collect()
    shared.get(("a",))

    assert made == {("a",): 2}
