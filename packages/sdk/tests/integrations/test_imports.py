"""Frameworks are imported by who uses them, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = {
    "asgiref",
    "billiard",
    "celery",
    "django",
    "fastapi",
    "flask",
    "kombu",
    "pytest",
    "starlette",
    "werkzeug",
}


def imported(code: str) -> set[str]:
    listed = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in listed.stdout.split()}


@pytest.mark.parametrize(
    "module, needs",
    [
        ("headwater", set[str]()),
        ("headwater.integrations", set[str]()),
        ("headwater.integrations.asgi", set[str]()),
        ("headwater.integrations.wsgi", set[str]()),
        ("headwater.testing", set[str]()),
        ("headwater.integrations.flask", {"flask", "werkzeug"}),
        ("headwater.integrations.django", {"django", "asgiref"}),
        # Celery itself looks for Django.
        ("headwater.integrations.celery", {"celery", "kombu", "billiard", "django"}),
    ],
)
def test_module_imports_its_framework_only(module: str, needs: set[str]) -> None:
    assert imported(f"import {module}") & FRAMEWORKS == needs


def test_library_imports_neither_sqlite_nor_an_http_client() -> None:
    assert not imported("import headwater") & {"sqlite3", "httpx", "argparse"}
