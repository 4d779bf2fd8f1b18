"""The page ``docs/reference/metrics.md``, made from the definitions."""

from collections.abc import Iterable

from headwater_ingest.telemetry.definition import Definition
from headwater_ingest.telemetry.definitions import BUILD, SITE_EVENTS, SITE_ROWS, TOLD
from headwater_ingest.telemetry.readings import READ


def reference_page() -> str:
    """Render ``docs/reference/metrics.md``."""
    read = [definition for definition, _ in READ]
    definitions = [*TOLD, *read, SITE_EVENTS, SITE_ROWS, BUILD]
    rows = "".join(
        f"| `{each.name}` | {each.kind} | {_labels(each)} | {each.meaning} |\n"
        for each in definitions
    )
    return _PAGE.format(rows=rows)


_PAGE = """\
# Metrics

`GET /metrics`, in the text form of Prometheus. With several `workers` the counters and
histograms are the sums over all of them, those that have died included. Besides these
there are the standard `process_*` metrics of the process that was started: its workers
and its writer are others.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
{rows}"""


def _labels(definition: Definition) -> str:
    return "; ".join(
        ": ".join(filter(None, [f"`{label}`", _listed(values)]))
        for label, values in definition.labels.items()
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values if value)
