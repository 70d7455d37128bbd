"""The README, the help and the command line tell the same story."""

from pathlib import Path

import pytest
from command_lines import documented, parse, submitted

from jobs.cli import app

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = sorted(name for name in app if not name.startswith("-"))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_that_teaches_by_example(command, capsys):
    app([command, "--help"], result_action="return_value")
    shown = capsys.readouterr().out
    assert f"flexivideo {command}" in shown.split("Arguments", 1)[0].replace("Usage: ", "", 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_the_readme(command):
    assert f"flexivideo {command}" in README


@pytest.mark.parametrize("arguments", documented(README), ids=" ".join)
def test_each_command_line_of_the_readme_parses(arguments):
    parse(arguments)


@pytest.mark.parametrize("arguments", submitted(README), ids=" ".join)
def test_each_job_of_the_readme_is_a_command_that_parses(arguments):
    parse(arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_of_the_help_parses(command):
    examples = documented(app[command].help)
    assert examples
    for arguments in examples:
        if "<" not in arguments and "--config" not in arguments:
            parse(arguments)


def test_the_readme_was_found_to_hold_commands():
    assert len(documented(README)) >= 5
