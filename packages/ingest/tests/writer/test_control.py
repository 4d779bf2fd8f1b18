import threading
import time

from headwater_ingest.writer.control import Control


def test_without_an_order_nothing_ends() -> None:
    control = Control()

    control.wait(0.001, is_draining=False)

    assert not control.is_stopped
    assert not control.is_draining


def test_a_stop_ends_a_wait() -> None:
    control = Control()
    threading.Timer(0.01, control.stop).start()
    started = time.monotonic()

    control.wait(20, is_draining=False)

    assert control.is_stopped
    assert time.monotonic() - started < 10


def test_after_a_stop_nothing_waits() -> None:
    control = Control()
    control.stop()
    started = time.monotonic()

    control.wait(20, is_draining=False)

    assert time.monotonic() - started < 10


def test_a_drain_ends_a_wait_but_is_no_stop_before_its_deadline() -> None:
    control = Control()
    threading.Timer(0.01, control.drain, (20,)).start()
    started = time.monotonic()

    control.wait(20, is_draining=False)

    assert time.monotonic() - started < 10
    assert control.is_draining
    assert not control.is_stopped


def test_an_order_that_came_before_the_wait_ends_it() -> None:
    control = Control()
    control.drain(60)
    started = time.monotonic()

    control.wait(20, is_draining=False)

    assert time.monotonic() - started < 10


def test_a_drain_waits_for_its_next_attempt() -> None:
    control = Control()
    control.drain(60)
    started = time.monotonic()

    control.wait(0.05, is_draining=True)

    assert time.monotonic() - started > 0.04


def test_a_drain_that_is_overdue_is_a_stop() -> None:
    control = Control()
    control.drain(0.01)

    control.wait(20, is_draining=True)

    assert control.is_stopped
