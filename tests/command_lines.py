"""Command lines that stand in texts, and whether the command line would take them."""

import re
import shlex

from jobs.cli import app

# What a Ray job runs: a job's module, which is the command of the same name.
JOB_MODULE = "jobs."


def documented(text: str) -> list[list[str]]:
    """Every command line of the text that calls flexivideo, as its arguments."""
    lines = re.findall(r"^\s*flexivideo (.+?)(?:\s+#.*)?$", text, flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def submitted(text: str) -> list[list[str]]:
    """Every command line of the text that submits a job, as flexivideo's arguments."""
    lines = re.findall(r"^ray job submit .*?-- (.+?)(?:\s+#.*)?$", text, flags=re.MULTILINE)
    return [job_arguments(shlex.split(line)) for line in lines]


def job_arguments(words: list[str]) -> list[str]:
    """The arguments of ``python -m jobs.<command> ...`` as those of ``flexivideo``."""
    python, option, module, *arguments = words
    assert (python, option) == ("python", "-m")
    assert module.startswith(JOB_MODULE)
    return [module.removeprefix(JOB_MODULE), *arguments]


def parse(arguments: list[str]) -> dict[str, object]:
    """What a command is called with; raises cyclopts' error if it cannot be."""
    _, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    return dict(bound.arguments)
