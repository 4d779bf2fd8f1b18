"""The schema files agree with the code and say all there is to say."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from headwater_schema import limits
from headwater_schema._openapi import EXAMPLE_ANSWER, EXAMPLE_BATCH, STATUSES
from headwater_schema.batch import Batch
from headwater_schema.codec import decode_answer, decode_batch, decode_error
from headwater_schema.events import Event
from headwater_schema.export import main, render_reasons, render_schemas
from headwater_schema.outcomes import RESERVED, ErrorCode, Outcome, Reason

PACKAGE = Path(__file__).parents[1]
REASONS = PACKAGE.parents[1] / "docs" / "reference" / "reasons.md"

SCHEMAS = {name: json.loads(text) for name, text in render_schemas().items()}
OPENAPI = SCHEMAS["openapi.json"]
INGEST = OPENAPI["paths"]["/ingest-events"]["post"]


TITLES: dict[type, str] = {
    Outcome: "Outcomes",
    Reason: "Reasons",
    ErrorCode: "Error codes",
}


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from walk(each)
    elif isinstance(node, list):
        for each in node:
            yield from walk(each)


def test_checked_in_schema_files_are_up_to_date(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["export", str(PACKAGE / "schema"), "--check"])
    assert (status, capsys.readouterr().out) == (0, "")


def test_no_file_is_left_over_among_the_schema_files() -> None:
    assert {path.name for path in (PACKAGE / "schema").iterdir()} == {*SCHEMAS}


@pytest.mark.skipif(not REASONS.parent.is_dir(), reason="the docs are not here")
def test_checked_in_reference_page_is_up_to_date() -> None:
    assert REASONS.read_text(encoding="utf-8") == render_reasons()


def test_files_are_written_and_then_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "reasons.md"
    command = ["export", str(tmp_path / "new" / "schema"), "--reasons", str(page)]
    assert main(command) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.name for path in written} == {*SCHEMAS, "reasons.md"}
    assert all(path.is_file() for path in written)
    assert main([*command, "--check"]) == 0


def test_check_names_stale_and_missing_files_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(tmp_path)])
    stale, missing = tmp_path / "openapi.json", tmp_path / "batch.schema.json"
    stale.write_text("{}")
    missing.unlink()
    capsys.readouterr()
    assert main(["export", str(tmp_path), "--check"]) == 1
    named = {line.split(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert named == {str(stale), str(missing)}
    assert stale.read_text() == "{}"
    assert not missing.exists()


def test_directory_is_schema_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export"]) == 0
    assert {path.name for path in (tmp_path / "schema").iterdir()} == {*SCHEMAS}


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_path_that_cannot_be_used_is_one_clear_line(
    check: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["export", str(tmp_path / "file"), *check]) == 2
    message = capsys.readouterr().err
    assert message.startswith("headwater-schema: ")
    assert str(tmp_path / "file") in message
    assert message.count("\n") == 1


def test_command_is_installed() -> None:
    (command,) = entry_points(group="console_scripts", name="headwater-schema")
    assert command.load() is main


@pytest.mark.parametrize("name", SCHEMAS)
def test_descriptions_are_sentences_not_docstrings(name: str) -> None:
    texts = [
        each["description"]
        for each in walk(SCHEMAS[name])
        if isinstance(each.get("description"), str)
    ]
    assert texts
    for text in texts:
        assert "Attributes:" not in text
        assert not re.search(r"^\s|  |\s$", text)
        assert text.endswith(".")


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_is_described(name: str) -> None:
    schema = SCHEMAS[name]
    structs = schema.get("$defs") or schema["components"]["schemas"]
    for struct in [schema, *structs.values()]:
        for field in struct.get("properties", {}).values():
            assert field["description"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_references_stay_within_the_document(name: str) -> None:
    schema = SCHEMAS[name]
    references = {each["$ref"] for each in walk(schema) if "$ref" in each}
    for reference in references:
        node = schema
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node["type"] == "object"


def test_schema_of_the_batch_has_the_fields_and_the_limits() -> None:
    schema = SCHEMAS["batch.schema.json"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$id" not in schema
    assert list(schema["properties"]) == list(Batch.__struct_fields__)
    assert schema["required"] == ["events"]
    assert schema["properties"]["events"]["maxItems"] == limits.MAX_BATCH_EVENTS
    event = schema["$defs"]["Event"]
    assert list(event["properties"]) == list(Event.__struct_fields__)
    assert event["required"] == ["event", "distinct_id"]
    assert event["properties"]["event"]["maxLength"] == limits.MAX_NAME_CHARS


@pytest.mark.parametrize("name", SCHEMAS)
def test_unknown_fields_are_allowed_everywhere(name: str) -> None:
    for each in walk(SCHEMAS[name]):
        assert each.get("additionalProperties") is not False


def test_words_of_growing_lists_are_examples_not_bounds() -> None:
    event_result = SCHEMAS["answer.schema.json"]["$defs"]["EventResult"]["properties"]
    assert event_result["reason"]["examples"] == list(Reason)
    assert event_result["outcome"]["examples"] == ["dropped", "invalid"]
    code = SCHEMAS["error.schema.json"]["properties"]["code"]
    assert code["examples"] == list(ErrorCode)
    assert not any("enum" in field for field in (*event_result.values(), code))


def test_every_status_is_documented_and_every_error_code_once() -> None:
    statuses = ["200", "400", "401", "402", "403", "413", "415", "429", "503"]
    assert list(INGEST["responses"]) == statuses
    codes = [code for listed in STATUSES.values() for code in listed]
    assert sorted(codes) == sorted(ErrorCode)
    for status, listed in STATUSES.items():
        response = INGEST["responses"][str(status)]
        examples = response["content"]["application/json"]["examples"]
        assert set(examples) == set(listed)
        for code in listed:
            assert f"`{code}`: {code.description}" in response["description"]
            body = json.dumps(examples[code]["value"]).encode()
            assert decode_error(body).code == code


def test_retry_after_is_documented_where_waiting_helps() -> None:
    responses = INGEST["responses"].items()
    waiting = {status for status, response in responses if "headers" in response}
    assert waiting == {"429", "503"}


def test_request_is_documented() -> None:
    content = INGEST["requestBody"]["content"]
    assert list(content) == ["application/json", "application/msgpack"]
    (encoding,) = INGEST["parameters"]
    assert encoding["schema"]["enum"] == ["identity", "gzip", "zstd"]
    schemes = OPENAPI["components"]["securitySchemes"]
    assert schemes["header"]["name"] == "X-Headwater-Key"
    assert [list(each) for each in INGEST["security"]] == [["header"], ["bearer"], []]
    for limit in (
        limits.MAX_BATCH_BYTES,
        limits.MAX_EVENT_BYTES,
        limits.MAX_NAME_CHARS,
    ):
        assert str(limit) in INGEST["description"]


def test_examples_are_what_they_are_examples_of() -> None:
    batch = decode_batch(json.dumps(EXAMPLE_BATCH).encode())
    assert len(batch.events) == 1
    assert not batch.refused
    answer = decode_answer(json.dumps(EXAMPLE_ANSWER).encode())
    assert answer.data.results["#1"].reason == Reason.MALFORMED_EVENT


def test_health_routes_are_documented() -> None:
    assert list(OPENAPI["paths"]["/healthz"]["get"]["responses"]) == ["200"]
    assert list(OPENAPI["paths"]["/readyz"]["get"]["responses"]) == ["200", "503"]


@pytest.mark.parametrize("word", [*Outcome, *Reason, *ErrorCode])
def test_reference_page_has_a_row_for_every_word(
    word: Outcome | Reason | ErrorCode,
) -> None:
    section = render_reasons().split(f"## {TITLES[type(word)]}\n")[1].split("## ")[0]
    row = re.search(rf"^\| `{word}` \|.*$", section, re.MULTILINE)
    assert row
    is_reserved = isinstance(word, Reason) and word in RESERVED
    reserved = " *Reserved: not given yet.*" if is_reserved else ""
    assert row[0].endswith(f" | {word.description}{reserved} |")
