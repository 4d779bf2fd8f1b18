from headwater_ingest.suggest import did_you_mean


def test_a_slip_is_answered_with_the_word_that_was_meant() -> None:
    assert did_you_mean("prot", ["host", "port"]) == "did you mean `port`?"


def test_a_strange_word_is_answered_with_all_words() -> None:
    assert did_you_mean("xyzzy", ["port", "host"]) == "known are `host`, `port`"


def test_a_common_prefix_does_not_make_words_alike() -> None:
    hint = did_you_mean("APP_XYZZY", ["APP_PORT"], prefix="APP_")

    assert hint == "known are `APP_PORT`"
