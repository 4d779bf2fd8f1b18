"""What the packages bring along when they are published."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[2]
SCHEMAS = {
    f"headwater_schema/schema/{name}"
    for name in (
        "answer.schema.json",
        "batch.schema.json",
        "error.schema.json",
        "openapi.json",
    )
}


def build(package: str, target: str, directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d"]
    subprocess.run(
        [*command, str(directory)],
        cwd=PACKAGES / package,
        check=True,
        capture_output=True,
    )
    (built,) = directory.iterdir()
    return built


def test_the_wheel_of_the_schema_has_the_schema_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("shared-schema", "wheel", tmp_path)) as wheel:
        names = set(wheel.namelist())

    assert names > SCHEMAS
    assert "headwater_schema/py.typed" in names


@pytest.mark.parametrize("package", ["shared-schema", "sdk", "ingest"])
def test_a_source_distribution_has_what_its_wheel_is_made_of_and_nothing_else(
    package: str, tmp_path: Path
) -> None:
    with tarfile.open(build(package, "sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    others = {name for name in names if not name.startswith(("src/", "schema/"))}
    # Hatchling adds the ignore file of the repository, whatever is excluded.
    assert others - {".gitignore"} == {
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "pyproject.toml",
    }
    assert not any("__pycache__" in name for name in names)
