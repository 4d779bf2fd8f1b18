"""The page ``docs/reference/settings.md``, made from the settings themselves."""

import msgspec

from headwater_ingest.settings import Settings
from headwater_ingest.settings_reader import as_toml, documentation_of


def reference_page() -> str:
    """Render ``docs/reference/settings.md``."""
    rows = []
    for field in msgspec.structs.fields(Settings):
        meaning, expected = documentation_of(field.name)
        default = "" if field.default is None else f"`{as_toml(field.default)}`"
        rows.append(f"| `{field.name}` | {expected} | {default} | {meaning} |\n")
    return _PAGE.format(rows="".join(rows))


_PAGE = """\
# Settings

Each key can be set as a variable, `HEADWATER_` and the key in capitals
(`HEADWATER_PORT=9000`), or in a TOML file that `--config` or `HEADWATER_CONFIG` names
(`port = 9000`). The environment wins over the file. Relative paths start at the working
directory. `headwater-ingest config show` prints what is in force and where each value
came from.

| key | value | default | meaning |
| --- | --- | --- | --- |
{rows}"""
