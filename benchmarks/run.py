"""Runs every benchmark of this folder, each in a process of its own.

    python -m benchmarks.run [NAME ...]

Without names all of them. Each prints its own table; the last line sums up. What the
benchmarks of the service measured is in `bench.json` too, with what the machine is.
With FULL=1 in the environment they run as long as for the tables of the docs.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from benchmarks.load.report import OUTPUT

HERE = Path(__file__).parent
RESULT = HERE.parent / "bench.json"
FULL = {
    "accept": ["--runs=5", "--seconds=8"],
    "backlog": ["--rows=2000000"],
    "journal": ["--runs=3", "--seconds=3"],
    "memory": ["--minutes=10", "--warm-up=4"],
    "scaling": ["--runs=8", "--seconds=2", "--rows=10000000"],
    "sessions": ["--runs=9"],
    "sustained": ["--runs=3", "--seconds=60"],
    "views": ["--runs=5", "--persons=100000"],
    "web": ["--runs=15", "--streams=3"],
    "writer": ["--runs=3"],
}
"""Arguments of the long form, where it is another."""


def main(names: list[str]) -> int:
    """Runs the benchmarks and returns the exit status."""
    known = sorted(each.stem.removeprefix("bench_") for each in HERE.glob("bench_*.py"))
    if unknown := sorted(set(names) - set(known)):
        print(f"no such benchmark: {unknown}; there are: {known}")
        return 2
    print(f"{platform.platform()}, {os.cpu_count()} cores, {platform.python_version()}")
    started = time.monotonic()
    chosen = names or known
    with tempfile.TemporaryDirectory() as directory:
        rows = Path(directory) / "rows"
        rows.touch()
        failed = [name for name in chosen if not _run(name, rows)]
        _write_result(rows)
    seconds = time.monotonic() - started
    done = len(chosen) - len(failed)
    print(f"\n{done} benchmarks done, {len(failed)} failed, in {seconds:.0f} s")
    return 1 if failed else 0


def _run(name: str, rows: Path) -> bool:
    print(f"\n== {name}", flush=True)
    arguments = FULL.get(name, []) if os.environ.get("FULL") else []
    command = [sys.executable, "-m", f"benchmarks.bench_{name}", *arguments]
    environment = os.environ | {OUTPUT: str(rows)}
    started = time.monotonic()
    done = subprocess.run(command, env=environment, check=False).returncode == 0
    print(f"({time.monotonic() - started:.0f} s)", flush=True)
    return done


def _write_result(rows: Path) -> None:
    """Writes what was measured, and on what machine."""
    lines = rows.read_bytes().splitlines()
    result = {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "rows": [msgspec.json.decode(line) for line in lines],
    }
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(result)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
