"""The heap gets huge pages where the system has them, and nothing is lost by it."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final
from unittest.mock import Mock

import pytest

from headwater_ingest import huge_pages
from headwater_ingest.huge_pages import can_use_huge_pages, start_using_huge_pages

USE: Final = """
from headwater_ingest.huge_pages import use_huge_pages
texts = [str(number) for number in range(500_000)]
for _ in range(5):  # the system may put off a part of it
    made = use_huge_pages()
assert texts == [str(number) for number in range(500_000)]
print(made, open("/proc/self/smaps_rollup").read())
"""


needs_huge_pages = pytest.mark.skipif(
    not can_use_huge_pages(), reason="the system has no huge pages"
)


@needs_huge_pages
def test_a_heap_is_put_into_huge_pages_and_says_what_it_said() -> None:
    told = subprocess.run(
        [sys.executable, "-c", USE], check=True, capture_output=True, text=True
    ).stdout
    made = int(told.split()[0])
    sizes = {name: int(size) for name, size in re.findall(r"(\w+): +(\d+) kB", told)}

    assert made >= 5  # of 30 MB
    assert sizes["AnonHugePages"] == made * 2048


@needs_huge_pages
def test_stacks_of_threads_take_no_more_memory() -> None:
    def read_rss() -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1])

    huge_pages.use_huge_pages()
    done = threading.Event()
    waiting = [threading.Thread(target=done.wait, daemon=True) for _ in range(20)]
    for each in waiting:
        each.start()
    before = read_rss()
    huge_pages.use_huge_pages()
    done.set()

    assert read_rss() - before < 20 * 1024


def test_a_system_that_is_to_have_none_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    (tmp_path / "hpage_pmd_size").write_text("2097152\n")
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path)

    assert not can_use_huge_pages()


def test_a_system_without_them_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path / "nowhere")

    assert not can_use_huge_pages()


def test_a_process_has_one_thread_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    make_thread = Mock()
    monkeypatch.setattr(huge_pages, "can_use_huge_pages", lambda: True)
    monkeypatch.setattr(threading, "Thread", make_thread)
    start_using_huge_pages.cache_clear()

    start_using_huge_pages()
    start_using_huge_pages()
    start_using_huge_pages.cache_clear()

    make_thread.assert_called_once()
