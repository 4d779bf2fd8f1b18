"""The closed lists: none of their words may vanish, and each is explained."""

import re
from enum import StrEnum

import pytest

from headwater_schema.outcomes import ErrorCode, Outcome, Reason

# What has been sent to clients or counted under a label stays for ever.
SENT = {
    Outcome: "accepted duplicate dropped invalid",
    Reason: (
        "spam_referrer not_found payment_required quota_exceeded block throttle "
        "verification_agent dc_ip threat_ip site_hostname_allowlist "
        "site_page_blocklist site_ip_blocklist site_country_blocklist bot "
        "no_session_for_engagement no_session_for_pageleave lock_timeout "
        "invalid malformed_event event_too_large timestamp_out_of_range blocked_id"
    ),
    ErrorCode: (
        "malformed_body unknown_encoding unsupported_type missing_key unknown_key "
        "too_large throttled site_blocked quota_exceeded journal_full draining"
    ),
}


@pytest.mark.parametrize("words", SENT)
def test_no_word_has_vanished(words: type[StrEnum]) -> None:
    assert set(SENT[words].split()) <= {str(word) for word in words}


@pytest.mark.parametrize("word", [*Outcome, *Reason, *ErrorCode])
def test_word_is_a_label_with_a_sentence_of_explanation(
    word: Outcome | Reason | ErrorCode,
) -> None:
    assert re.fullmatch("[a-z_]+", word)
    assert re.fullmatch(r"[A-Z][^|\n]+\.", word.description)


@pytest.mark.parametrize("reason", list(Reason))
def test_reason_explains_an_event_that_was_not_stored(reason: Reason) -> None:
    assert reason.outcome in {Outcome.DROPPED, Outcome.INVALID}
