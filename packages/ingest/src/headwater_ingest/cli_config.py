"""`--config FILE`, which every command takes, before its name or after it."""

import os
from pathlib import Path
from typing import Any

import click

from headwater_ingest.settings_reader import LoadedSettings, load_settings


class ConfiguredCommand(click.Command):
    """A command with the option."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(_config_option())


class ConfiguredGroup(click.Group):
    """Commands with the option. What they get as `obj` loads the settings."""

    command_class = ConfiguredCommand
    group_class = type

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(_config_option())


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="TOML file with settings. Variables (HEADWATER_PORT=9000) win over it.",
        expose_value=False,
        callback=_name_file,
    )


def _name_file(
    context: click.Context, _option: click.Parameter, file: Path | None
) -> None:
    def load() -> LoadedSettings:
        return load_settings(os.environ, file)

    if file is not None or context.obj is None:
        context.obj = load
