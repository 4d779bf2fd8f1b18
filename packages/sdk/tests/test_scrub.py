"""What looks like a secret is left out of a text, in no time; the rest stays."""

import time

import pytest

from headwater._scrub import scrub


@pytest.mark.parametrize(
    "text, scrubbed",
    [
        ("postgres://app:hunter2@db/shop", "postgres://app:[redacted]@db/shop"),
        ("redis://:hunter2@cache", "redis://:[redacted]@cache"),
        ("https://example.com/a:b@c", "https://example.com/a:b@c"),
        ("password=hunter2 user=ada", "password=[redacted] user=ada"),
        ("{'api_key': 'hunter 2', 'a': 1}", "{'api_key': [redacted], 'a': 1}"),
        ('"client_secret" : "hun\\"ter2"', '"client_secret" : [redacted]'),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("sent Bearer abcdefgh12345", "sent Bearer [redacted]"),
        ("PGPASSWORD=hunter2;x", "PGPASSWORD=[redacted];x"),
        ("token => hunter2", "token => [redacted]"),
        ("invalid token at line 3", "invalid token at line 3"),
        ("the bearer is here", "the bearer is here"),
        ("", ""),
    ],
)
def test_secrets_are_left_out(text: str, scrubbed: str) -> None:
    assert scrub(text) == scrubbed


def test_text_is_cut() -> None:
    assert len(scrub("x" * 10_000)) == 8192


@pytest.mark.parametrize(
    "unit", ["a", "token", "://", "a://b:", 'password="\\', "token ", "bearer ", "'"]
)
def test_no_text_takes_long(unit: str) -> None:
    begin = time.process_time()
    scrub(unit * (8192 // len(unit)))
    assert time.process_time() - begin < 1
