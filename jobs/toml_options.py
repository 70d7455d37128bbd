"""One TOML file for all options of a command; flags win over it.

Options stand under their names, with dashes or underscores, at the top or in tables of the reader's
own choosing (the settings' groups suggest themselves):

    [segmentation]
    sample_fps = 4
    tau = 0.3

    [caption]
    model = "checkpoints/flexivideo-3b"
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from flexivideo.errors import SettingsError

__all__ = ["toml_options"]

OPTION = "--config"


def toml_options(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill in what the file named by ``--config`` says and the command line does not.

    Raises:
        SettingsError: if the file cannot be read, is no TOML, or names an option twice.
    """
    for argument in arguments:
        if OPTION in argument.names and argument.tokens:
            path = argument.tokens[0].value
            options = _load(Path(path))
            Dict(options, use_commands_as_keys=False, source=path)(app, commands, arguments)


def _load(path: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{OPTION} {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{OPTION} {path} is not TOML: {error}") from error
    options: dict[str, object] = {}
    for name, value in _flat(document):
        key = name.replace("_", "-")
        if key in options:
            raise SettingsError(f"{OPTION} {path} gives {key} twice; expected each option once")
        options[key] = value
    return options


def _flat(table: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value
