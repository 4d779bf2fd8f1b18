from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from headwater_ingest.worker.dealer import Dealer, pass_on, receive_connections


class Hand:
    """Counts what it is given, if it takes anything, and how often it is asked."""

    def __init__(self) -> None:
        self.asked = self.taken = 0
        self.is_up = True

    def take(self, connection: socket.socket) -> bool:
        assert connection.fileno() >= 0
        self.asked += 1
        self.taken += self.is_up
        return self.is_up


@contextmanager
def clients(address: tuple[str, int], count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(address))
        yield


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0.005)


async def until_taken(hands: list[Hand], *taken: int) -> None:
    await until(lambda: tuple(each.taken for each in hands) == taken)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_connections_are_dealt_out_in_turn(sock: socket.socket) -> None:
    async def deal() -> None:
        hands = [Hand(), Hand(), Hand()]
        dealer = Dealer(sock, hands)
        dealer.start()
        with clients(sock.getsockname(), 9):
            await until_taken(hands, 3, 3, 3)
        dealer.stop()

    asyncio.run(deal())


def test_the_share_of_a_worker_that_is_down_goes_to_the_others(
    sock: socket.socket,
) -> None:
    async def deal() -> None:
        hands = [Hand(), Hand()]
        hands[0].is_up = False
        dealer = Dealer(sock, hands)
        dealer.start()
        with clients(sock.getsockname(), 5):
            await until_taken(hands, 0, 5)
        dealer.stop()

    asyncio.run(deal())


def test_connections_wait_for_a_worker_that_is_to_come(sock: socket.socket) -> None:
    async def deal() -> None:
        hands = [Hand()]
        hands[0].is_up = False
        dealer = Dealer(sock, hands)
        dealer.start()
        with clients(sock.getsockname(), 40):
            await until(lambda: hands[0].asked >= 3)
            assert hands[0].taken == 0
            hands[0].is_up = True
            await until_taken(hands, 40)
        dealer.stop()

    asyncio.run(deal())


def test_who_connects_after_the_stop_is_refused(sock: socket.socket) -> None:
    async def deal() -> None:
        address = sock.getsockname()
        hand = Hand()
        hand.is_up = False
        dealer = Dealer(sock, [hand])
        dealer.start()
        with clients(address, 1):
            await until(lambda: hand.asked >= 1)
            dealer.stop()
            dealer.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    asyncio.run(deal())


def test_a_connection_arrives_as_it_was_passed_on(sock: socket.socket) -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with ours, theirs, socket.create_connection(sock.getsockname()) as client:
        ours.settimeout(0)
        theirs.settimeout(0)
        accepted, _ = sock.accept()
        assert pass_on(accepted, ours)
        accepted.close()

        [received] = receive_connections(theirs)
        with received:
            assert received.getpeername() == client.getsockname()
            client.sendall(b"hello")
            assert received.recv(5) == b"hello"
        assert receive_connections(theirs) == []


def test_a_worker_that_takes_nothing_any_more_is_given_nothing(
    sock: socket.socket,
) -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    with ours, theirs, socket.create_connection(sock.getsockname()):
        ours.settimeout(0)
        accepted, _ = sock.accept()
        with accepted:
            assert not all(pass_on(accepted, ours) for _ in range(5000))
            for each in receive_connections_of(theirs):
                each.close()
            theirs.close()
            assert not pass_on(accepted, ours)


def receive_connections_of(channel: socket.socket) -> list[socket.socket]:
    channel.settimeout(0)
    return receive_connections(channel)
