"""Dead letters on disk: found, replayed in parts, and let go, each exactly once."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from headwater_ingest.errors import JournalUnwritableError
from headwater_ingest.journal import DeadLetter, Entry, Journal, JournalReader
from headwater_ingest.journal.dead_letters import DeadLetters, open_dead_letters
from headwater_ingest.journal.peek import peek
from headwater_ingest.journal.pending import find_pending

HUGE = 2**64 - 1  # a site id beyond what SQLite calls an integer


def letter(number: int, site_id: int = 7, who: str = "ann") -> DeadLetter:
    return DeadLetter(
        site_id=site_id,
        event_id=UUID(int=number),
        name="opened",
        distinct_id=who,
        error="no",
        at_ms=number,
        row=b"row %d" % number,
    )


LETTERS = [letter(1), letter(2, site_id=HUGE), letter(3, who="bob")]


@pytest.fixture
def directory(tmp_path: Path, make_entry: Callable[..., Entry]) -> Path:
    """A journal whose only block has gone, three of its rows dead."""
    entry = make_entry([UUID(int=each) for each in range(1, 6)])
    with closing(Journal.open(tmp_path, max_bytes=1 << 20)) as journal:
        asyncio.run(journal.append(entry))
    with closing(JournalReader(tmp_path)) as reader:
        block = reader.next_block(100, 0)
        assert block is not None
        reader.add_verdict(block.token, None)
        assert reader.read_verdicts()[block.token].error is None
        reader.checkpoint(block, LETTERS)
        reader.checkpoint(block, LETTERS)
        assert reader.read_verdicts() == {}
    return tmp_path


@pytest.fixture
def letters(directory: Path) -> Iterator[DeadLetters]:
    with open_dead_letters(directory) as letters:
        yield letters


def numbers(found: list[DeadLetter]) -> list[int]:
    return [each.event_id.int for each in found]


def test_a_letter_says_all_that_was_put_into_it(letters: DeadLetters) -> None:
    first, second, _ = letters.read()

    assert (first.id, second.id) == (1, 2)
    assert (second.site_id, second.row, second.at_ms) == (HUGE, b"row 2", 2)


def test_letters_are_chosen_by_site_by_number_and_at_most_so_many(
    letters: DeadLetters,
) -> None:
    assert numbers(letters.read(site_id=HUGE)) == [2]
    assert numbers(letters.read(ids=[3, 1, 99])) == [1, 3]
    assert numbers(letters.read(limit=2)) == [1, 2]
    assert letters.count() == 3


def test_what_is_discarded_is_gone_and_counted_once(letters: DeadLetters) -> None:
    chosen = letters.read(ids=[1, 2])

    assert (letters.discard(chosen), letters.discard(chosen)) == (2, 0)
    assert numbers(letters.read()) == [3]


def test_a_person_is_erased_in_one_site_only(letters: DeadLetters) -> None:
    assert letters.erase(7, ["ann", "nobody"]) == 1
    assert numbers(letters.read()) == [2, 3]


def test_a_replay_lasts_until_it_is_ended(
    directory: Path, letters: DeadLetters
) -> None:
    chosen = letters.read()
    begun = letters.begin_replay([each.row for each in chosen], chosen)

    with open_dead_letters(directory) as again:
        assert again.unfinished_replays() == [begun]
    letters.end_replay(begun)

    assert letters.unfinished_replays() == []
    assert letters.count() == 0


def test_a_refused_replay_is_cut_until_single_rows_stay_dead(
    letters: DeadLetters,
) -> None:
    chosen = letters.read()
    begun = letters.begin_replay([each.row for each in chosen], chosen)

    halves = letters.cut_replay(begun)
    assert halves is not None
    left, right = halves
    assert (left.rows, left.dead_letters) == ((b"row 1",), (1,))
    assert (right.rows, right.dead_letters) == ((b"row 2", b"row 3"), (2, 3))
    assert letters.unfinished_replays() == [left, right]
    assert len({begun.token, left.token, right.token}) == 3

    assert letters.cut_replay(left) is None
    letters.end_replay(right)

    assert numbers(letters.read()) == [1]
    assert letters.unfinished_replays() == []


def test_the_accounts_follow_a_letter_to_its_end(
    directory: Path, letters: DeadLetters
) -> None:
    letters.settle(letters.read(ids=[1]))
    letters.discard(letters.read(ids=[3]))

    found = peek(directory)
    assert found is not None
    assert found.accounts is not None
    totals = {
        account: found.accounts.total(7, account)
        for account in ("dead_lettered", "discarded")
    }
    assert totals == {"dead_lettered": 0, "discarded": 1}


def test_without_a_journal_there_are_no_dead_letters(tmp_path: Path) -> None:
    with pytest.raises(JournalUnwritableError), open_dead_letters(tmp_path):
        pass


def test_it_is_known_which_rows_wait(
    tmp_path: Path, directory: Path, make_entry: Callable[..., Entry]
) -> None:
    assert find_pending(tmp_path / "nowhere") is None
    assert find_pending(directory) is None
    entry = make_entry([UUID(int=each) for each in range(20, 23)], UUID(int=9))
    with closing(Journal.open(directory, max_bytes=1 << 20)) as journal:
        asyncio.run(journal.append(entry))

    assert find_pending(directory) == (6, 8)
