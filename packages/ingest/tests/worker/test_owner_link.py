"""A worker's questions find their answers, however many there have been."""

import asyncio
import socket

import pytest

from headwater_ingest.worker import owner_link
from headwater_ingest.worker.connection import Connection
from headwater_ingest.worker.owner_link import OwnerLink
from headwater_ingest.worker.protocol import (
    ForgetSessions,
    NotStored,
    Prolong,
    ReadAnswer,
    ToOwner,
    decode_to_owner,
)


def test_known_visits_are_told_of_together_before_what_comes_next() -> None:
    async def check() -> None:
        ours, theirs = socket.socketpair()
        heard: list[ToOwner] = []
        owner: Connection[ToOwner] = Connection(
            decode_to_owner,
            on_message=lambda _number, message: heard.append(message),
            on_end=lambda: None,
        )
        link = OwnerLink(lambda _order: None)
        await owner.open(theirs)
        await link.open(ours)
        link.prolong_with_next((1, 2, 3))
        link.prolong_with_next((1, 4, 5))
        link.tell(ForgetSessions())
        link.tell(ForgetSessions())
        link.prolong_with_next((1, 6, 7))
        link.close()
        await owner.ended.wait()
        assert heard == [
            Prolong([(1, 2, 3), (1, 4, 5)]),
            ForgetSessions(),
            ForgetSessions(),
            Prolong([(1, 6, 7)]),
        ]

    asyncio.run(check())


def test_numbers_begin_again_when_a_frame_has_no_higher_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner_link, "count", lambda: iter((0xFFFFFFFE, 0xFFFFFFFF)))

    async def check() -> None:
        ours, theirs = socket.socketpair()
        numbers: list[int] = []

        def answer(number: int, _message: ToOwner) -> None:
            numbers.append(number)
            owner.send(NotStored(), number=number)

        owner: Connection[ToOwner] = Connection(
            decode_to_owner, on_message=answer, on_end=lambda: None
        )
        link = OwnerLink(lambda _order: None)
        await owner.open(theirs)
        await link.open(ours)
        for _ in range(2):
            assert await link.ask(ReadAnswer(b"")) == NotStored()
        link.close()
        await link.ended.wait()
        assert numbers == [0xFFFFFFFF, 1]

    asyncio.run(check())
