from headwater_ingest.suggest import did_you_mean


def test_a_slip_is_answered_with_the_word_that_was_meant() -> None:
    assert did_you_mean("prot", ["host", "port"]) == "did you mean `port`?"


def test_a_strange_word_is_answered_with_all_words() -> None:
    assert did_you_mean("xyzzy", ["port", "host"]) == "known are `host`, `port`"


def test_a_common_prefix_does_not_make_words_alike() -> None:
    hint = did_you_mean("APP_XYZZY", ["APP_PORT"], prefix="APP_")

    assert hint == "known are `APP_PORT`"


def test_a_common_ending_does_not_make_domains_alike() -> None:
    known = ["blog.example.com", "shop.example.com"]

    assert did_you_mean("news.example.com", known).startswith("known are")
    assert did_you_mean("shp.example.com", known) == "did you mean `shop.example.com`?"
    assert did_you_mean("shop.exmaple.com", known) == "did you mean `shop.example.com`?"
