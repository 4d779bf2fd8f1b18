"""Runs the conformance cases: `python -m tests.conformance.run [FILE.json]`.

Without a file it runs those of the project, which lie in `cases/`. A failure is printed
with what was expected and what there was; the last line counts, and the exit status
follows.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.drive import Verdict, judge
from tests.conformance.exceptions import read_exceptions
from tests.conformance.service import running_service

CASES = Path(__file__).with_name("cases")


@dataclass(frozen=True, slots=True)
class Report:
    """The verdicts, sorted.

    Attributes:
        passed: As expected.
        failed: Not as expected.
        skipped: Not run, or excepted; each with the reason.
        stale: Ids that are excepted and pass.
    """

    passed: Sequence[Verdict]
    failed: Sequence[Verdict]
    skipped: Sequence[tuple[Verdict, str]]
    stale: Sequence[str]

    @property
    def summary(self) -> str:
        """The last line."""
        counts = len(self.passed), len(self.failed), len(self.skipped)
        return "{} passed, {} failed, {} skipped".format(*counts)

    def describe(self) -> str:
        """Returns a text on all but what passed, the summary last."""
        skipped = (f"skipped {each.case['id']}: {why}" for each, why in self.skipped)
        stale = (f"stale   {name}: it is excepted and passes" for name in self.stale)
        return "\n".join((*skipped, *stale, *map(_describe, self.failed), self.summary))


def run(paths: Sequence[Path] = ()) -> Report:
    """Runs the cases of some files against a service that is started for them.

    Args:
        paths: The files; none are those of the project. The first that describes places
            decides where addresses are.
    """
    contents = read_cases(paths or project_files())
    places = next(_find_places(contents), None) or _own_places()
    with (
        tempfile.TemporaryDirectory(prefix="headwater-conformance-") as directory,
        running_service(Path(directory), places) as service,
    ):
        verdicts = judge([case for each in contents for case in each["cases"]], service)
    return sort(verdicts, read_exceptions())


def project_files() -> list[Path]:
    """Returns the files of cases that lie in the project."""
    return sorted(CASES.glob("*.json"))


def read_cases(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Returns the contents of files of cases."""
    return [json.loads(path.read_text("utf-8")) for path in paths]


def sort(verdicts: Sequence[Verdict], exceptions: Mapping[str, str]) -> Report:
    """Sorts verdicts; one that is excepted does not fail."""
    passed, failed, skipped, stale = [], [], [], []
    for verdict in verdicts:
        reason = exceptions.get(verdict.case["id"])
        if verdict.skipped is not None:
            skipped.append((verdict, verdict.skipped))
        elif not verdict.problems:
            passed.append(verdict)
            stale += [verdict.case["id"]] if reason else []
        elif reason:
            skipped.append((verdict, reason))
        else:
            failed.append(verdict)
    return Report(passed, failed, skipped, stale)


def _own_places() -> Mapping[str, Any]:
    return next(_find_places(read_cases(project_files())))


def _find_places(contents: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for each in contents:
        if records := each.get("meta", {}).get("geo_db", {}).get("records"):
            yield records


def _describe(verdict: Verdict) -> str:
    case = verdict.case
    lines = "".join(f"\n        {line}" for line in verdict.problems)
    return f"FAILED  {case['id']}: {case.get('note', '')}{lines}"


def main() -> None:
    """Runs the files that are named, or the project's."""
    report = run([Path(name) for name in sys.argv[1:]])
    sys.stdout.write(f"{report.describe()}\n")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
