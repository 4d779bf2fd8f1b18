import asyncio
from typing import Any

from headwater_ingest.http.joined_writes import JoiningTransport


class Wire(asyncio.Transport):
    """A connection that writes down what is done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 80)})
        self.done: list[bytes | str] = []

    def write(self, data: Any) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done

    def pause_reading(self) -> None:
        self.done.append("paused")

    def resume_reading(self) -> None:
        self.done.append("resumed")


def test_what_is_written_in_one_turn_goes_out_together() -> None:
    async def answer() -> list[bytes | str]:
        transport = JoiningTransport(wire := Wire())
        transport.write(b"head ")
        transport.write(b"body")
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        return wire.done

    assert asyncio.run(answer()) == [b"head body", b"next"]


def test_nothing_that_was_written_is_lost_by_a_close() -> None:
    async def close() -> list[bytes | str]:
        transport = JoiningTransport(wire := Wire())
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0)
        assert transport.is_closing()
        return wire.done

    assert asyncio.run(close()) == [b"last", "closed"]


def test_nothing_is_written_to_a_connection_that_is_lost() -> None:
    async def lose() -> list[bytes | str]:
        transport = JoiningTransport(wire := Wire())
        transport.write(b"late")
        wire.close()
        await asyncio.sleep(0)
        return wire.done

    assert asyncio.run(lose()) == ["closed"]


def test_the_rest_is_left_to_the_connection() -> None:
    async def use() -> list[bytes | str]:
        transport = JoiningTransport(wire := Wire())
        assert transport.get_extra_info("peername") == ("192.0.2.1", 80)
        assert transport.get_extra_info("socket", "none") == "none"
        transport.pause_reading()
        transport.resume_reading()
        return wire.done

    assert asyncio.run(use()) == ["paused", "resumed"]
