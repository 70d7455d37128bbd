"""A video that is left, however and wherever, leaves no file, no thread and no memory behind."""

import os
from dataclasses import replace
from itertools import cycle, islice

import psutil
import pytest
from decode_helpers import make_plan

from pipeline.local_uri import to_uri
from pipeline.settings import PackingSettings
from pipeline.sources import local_ref
from pipeline.video_rows import video_rows

N_OPENS, N_BEFORE = 1_000, 100

# One of each container, of decoders with and without threads of their own.
FILES = [
    *("h264_open_groups.mp4", "h264_open_groups.ts", "h264_of_bframes.avi", "hevc.mkv"),
    *("vp8.webm", "mjpeg_full_range.mov", "woven_mpeg2.mpg", "cut.mkv", "h264_without_times.264"),
]

MOST_GROWTH_MIB = 10


class Left(Exception):
    """What somebody who looks at rows may raise."""


def many_clips(threads):
    """A plan by which two seconds are sixteen clips."""
    plan = make_plan()
    segmentation = replace(plan.segmentation, sample_fps=8.0, max_scene_frames=1)
    packing = PackingSettings(clip_s=0.1, min_clip_s=0.1)
    return replace(plan, segmentation=segmentation, packing=packing, threads=threads)


def after(n_rows):
    """Look at so many rows, or at all, then close."""

    def leave(rows, _):
        running = rows()
        list(islice(running, n_rows))
        running.close()

    return leave


def at_beat(number):
    """Raise at a sign of life: before the first row, or later."""

    def leave(rows, beats):
        beats.append(number)
        with pytest.raises(Left):
            list(rows())

    return leave


def thrown(rows, _):
    """Raise at a row."""
    running = rows()
    next(running)
    with pytest.raises(Left):
        running.throw(Left)


WAYS = [after(0), after(1), after(4), after(None), at_beat(3), at_beat(20), thrown]


def leave_one(path, plan, way):
    """Open a video, and leave it in one of the ways."""
    due = []

    def beat():
        if due:
            due[0] -= 1
            if not due[0]:
                raise Left

    way(lambda: video_rows(local_ref(to_uri(str(path))), "a", plan, beat), due)


def held():
    """Files and threads of this process."""
    return sorted(os.listdir("/proc/self/fd"))[:-1], len(os.listdir("/proc/self/task"))


def test_a_thousand_videos_that_are_left_early_leave_nothing_behind(made_media):
    cases = zip(cycle(FILES), cycle(WAYS), cycle([many_clips(1), many_clips(2)]), strict=False)
    process = psutil.Process()
    for number, (name, way, plan) in enumerate(islice(cases, N_OPENS)):
        leave_one(made_media / name, plan, way)
        if number == N_BEFORE:
            before, before_mib = held(), process.memory_info().rss / 2**20
    assert held() == before
    assert process.memory_info().rss / 2**20 - before_mib < MOST_GROWTH_MIB
