import io
import json
import os
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from jobs.display import JsonDisplay, LiveDisplay, PlainDisplay, choose_display, duration
from jobs.run_preview import RunPreview, printable
from pipeline.progress import Progress
from pipeline.verdicts import Verdict, outcome_of

PREVIEW = RunPreview(
    n_listed=3,
    is_whole=True,
    n_done=1,
    left={"txt": 2, "": 1},
    unreadable=(),
    linked=(),
    out="/root/[index]",
    model="embedded",
)


@pytest.fixture
def snapshot():
    progress = Progress()
    progress.compared(3, 1)
    whole = {"duration_s": 3600.0, "n_scenes": 4}
    progress.video_ended(outcome_of(Verdict(status="success"), **whole), n_caption_tokens=1)
    failed = Verdict(status="failed", error_kind="empty")
    progress.video_ended(outcome_of(failed), n_caption_tokens=0)
    return progress.snapshot()


def show(display, console, snapshot):
    display.plan(PREVIEW)
    display.update(snapshot)
    display.close()
    display.summary(snapshot, "completed", PREVIEW.out)
    return Text.from_ansi(console.file.getvalue()).plain


def terminal(**options):
    return Console(file=io.StringIO(), width=100, **options)


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_a_person_reads_plan_and_summary(kind, snapshot):
    console = terminal(force_terminal=kind is LiveDisplay)
    shown = show(kind(console), console, snapshot)
    for word in ("3 videos listed", "1 already done", "3 other files", "2 .txt", "/root/[index]"):
        assert word in shown
    for word in ("completed", "1 success", "1 failed", "1 empty", "1.000 hours", "busy"):
        assert word in shown


def test_names_from_the_disk_cannot_hurt_the_plan():
    left = {os.fsdecode(b"\xff\x1b[31m"): 1}
    preview = replace(PREVIEW, left=left, unreadable=(os.fsdecode(b"/a\xff: denied"), "/b: denied"))
    sentence = preview.sentence()
    assert sentence.isprintable()
    sentence.encode("utf-8")
    assert "2 folders could not be read, the first /a\\udcff: denied" in sentence


def test_lines_of_manifests_that_could_not_be_used_are_counted_and_the_first_is_named():
    preview = replace(
        PREVIEW, n_unusable=12, unusable=["m.csv:2: the uri is \x1b[31m", "m.csv:9: "]
    )
    said = "12 lines of manifests could not be used, the first m.csv:2: the uri is \\x1b[31m"
    assert said in preview.sentence()
    console = terminal()
    JsonDisplay(console).plan(preview)
    plan = json.loads(console.file.getvalue())
    assert (plan["n_unusable"], plan["unusable"]) == (12, preview.unusable)


def test_json_is_one_object_a_line_and_nothing_else(snapshot):
    console = terminal()
    plan, summary = map(json.loads, show(JsonDisplay(console), console, snapshot).splitlines())
    assert (plan["event"], plan["n_listed"], plan["n_already_done"]) == ("plan", 3, 1)
    assert (summary["event"], summary["ended"]) == ("summary", "completed")
    assert summary["by_status"] == {"success": 1, "failed": 1}


def test_a_terminal_gets_the_live_view_and_a_pipe_plain_lines():
    assert isinstance(
        choose_display(as_json=False, console=terminal(force_terminal=True)), LiveDisplay
    )
    assert isinstance(choose_display(as_json=False, console=terminal()), PlainDisplay)
    assert isinstance(choose_display(as_json=True, console=terminal()), JsonDisplay)


def test_plain_lines_come_no_faster_than_their_interval(snapshot):
    clock = iter([0.0, 1.0, 1.0, 2.0, 11.0, 11.0])
    console = terminal()
    display = PlainDisplay(console, clock=lambda: next(clock))
    n_lines = []
    for _ in range(3):
        display.update(snapshot)
        n_lines.append(len(console.file.getvalue().splitlines()))
    assert n_lines == [1, 1, 2]  # the first rows are news


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "?"), (5, "0:05"), (59.6, "1:00"), (3661, "1:01:01")]
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_a_name_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
