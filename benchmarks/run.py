"""Runs every benchmark of this folder, each in a process of its own.

    python benchmarks/run.py [NAME ...]

Without names all of them. Each prints its own table; the last line sums up.
"""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Runs the benchmarks and returns the exit status."""
    known = {each.stem.removeprefix("bench_"): each for each in HERE.glob("bench_*.py")}
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no such benchmark: {unknown}; there are: {sorted(known)}")
        return 2
    print(f"{platform.platform()}, {os.cpu_count()} cores, {platform.python_version()}")
    started = time.monotonic()
    chosen = names or sorted(known)
    failed = [name for name in chosen if not _run(name, known[name])]
    seconds = time.monotonic() - started
    done = len(chosen) - len(failed)
    print(f"\n{done} benchmarks done, {len(failed)} failed, in {seconds:.0f} s")
    return 1 if failed else 0


def _run(name: str, path: Path) -> bool:
    print(f"\n== {name}", flush=True)
    return subprocess.run([sys.executable, str(path)], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
