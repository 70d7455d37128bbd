"""What is sampled of a file, when, and how it looks, against the ffmpeg program and zimg."""

from fractions import Fraction
from functools import cache, partial

import oracle
import pytest
from decode_helpers import make_plan
from media_matrix import DISORDERED, HDR, MADE
from seeing import SAME_FOOTAGE_DB, SAME_PICTURE_DB, SIZE, likeness_db, see

from pipeline.clip_stream import VideoFacts, clip_batches
from pipeline.container import open_video
from pipeline.local_uri import to_uri
from pipeline.sources import local_ref

SAMPLE_FPS = ["0.5", "2", "8"]
FILES = [name for name in MADE if name not in DISORDERED]

# Of real footage so many frames are compared: all of the short files, of the others 2.5 s and more.
MAX_REAL_FRAMES = 150
REAL_FILES = "*.mp4 *.mov *.mkv *.webm *.avi *.ts *.mts *.264".split()


@pytest.fixture(scope="module")
def both(made_media):
    """Of a file of the matrix, what we see and what the oracle shows; looked at once."""

    @cache
    def of(name):
        seen = see(made_media / name)
        return seen, oracle.shown(made_media / name, seen.stream)

    return of


def likenesses_db(path, seen, shown, size=SIZE):
    # A stream that names no matrix has the one that players guess. One that does not say where its
    # chroma lies has it in the middle, as libswscale takes it.
    guessed = "bt709" if shown.is_hd else "smpte170m"
    expected = oracle.pictures(
        path,
        seen.stream,
        list(seen.pictures),
        size,
        matrix=guessed if shown.matrix == "unknown" else shown.matrix,
        chroma="center" if shown.chroma == "unspecified" else shown.chroma,
        is_odd=shown.is_odd,
    )
    return [likeness_db(*pair) for pair in zip(seen.pictures.values(), expected, strict=True)]


@pytest.mark.parametrize("name", FILES)
def test_every_frame_has_its_time(both, name):
    """Presentation of all, half-open to the next, and the end of the last."""
    seen, shown = both(name)
    assert (seen.time_base, seen.pts) == (shown.time_base, shown.pts)
    assert seen.ends == [*shown.pts[1:], shown.end_pts]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("sample_fps", SAMPLE_FPS)
def test_the_frames_on_the_screen_at_the_instants_are_sampled(both, name, sample_fps):
    seen, shown = both(name)
    assert seen.sampled(sample_fps) == shown.sampled(Fraction(sample_fps))


@pytest.mark.parametrize("name", [name for name in FILES if name not in HDR])
def test_a_picture_is_what_another_scaler_makes_of_it(made_media, both, name):
    """Colours, range, place of chroma, orientation; fields of a woven frame as one picture."""
    found = likenesses_db(made_media / name, *both(name))
    assert min(found) >= SAME_PICTURE_DB, found


@pytest.mark.parametrize("size", [(96, 128), (192, 256), (56, 84)])
def test_a_picture_is_the_same_in_every_size(made_media, both, size):
    """libswscale has short cuts, for its own size above all, that leave out chroma."""
    path = made_media / "h264_open_groups.mp4"
    _, shown = both(path.name)
    found = likenesses_db(path, see(path, size=size), shown, size)
    assert min(found) >= SAME_PICTURE_DB, found


@pytest.mark.parametrize("name", FILES)
def test_the_sides_are_those_of_a_player(both, name):
    seen, shown = both(name)
    assert seen.sides == (shown.height, shown.width)


@pytest.mark.parametrize("name", FILES)
def test_scenes_tile_the_time_that_a_player_shows(made_media, both, name):
    """From the first frame to the end of the last, cut at sampled frames only."""
    _, shown = both(name)
    path, plan, facts = made_media / name, make_plan(), VideoFacts(attempt="a")
    ref = local_ref(to_uri(str(path)))
    with open(path, "rb") as file:
        opened = partial(open_video, file, threads=1)
        whole, beat = lambda video: None, lambda: None
        batches = list(clip_batches(ref, opened, whole, plan, facts, beat))
    scenes = [scene for batch in batches for row in batch.to_pylist() for scene in row["scenes"]]
    starts, ends = zip(*((scene["start_pts"], scene["end_pts"]) for scene in scenes), strict=True)
    assert starts[0] == shown.pts[0]
    assert ends == (*starts[1:], shown.end_pts)
    assert set(starts) <= set(shown.sampled(Fraction(plan.segmentation.sample_fps)))


@pytest.mark.parametrize("name", ["h264_of_bframes.avi", "h264_pts_missing.mpg", "vp9.webm"])
def test_more_threads_give_the_same_times(made_media, both, name):
    """What the decoder gives out late is not later on the screen."""
    seen, _ = both(name)
    assert see(made_media / name, threads=4).pts == seen.pts


def test_time_does_not_go_back(both):
    """A frame that is said to be earlier follows the one before it, and pushes what it covers."""
    seen, shown = both("goes_back.mkv")
    assert shown.pts[20] < shown.pts[19]
    assert seen.pts[:20] == shown.pts[:20]
    assert seen.pts[20:] == [shown.pts[19] + 40 * number for number in range(1, 31)]
    assert seen.ends[:-1] == seen.pts[1:]


def test_real_footage_is_seen_as_the_oracle_sees_it(test_data):
    """Every frame's time, what is sampled at three rates, the sides, and some pictures."""
    files = [path for kind in REAL_FILES for path in (test_data / "videos").glob(kind)]
    wrong = []
    for path in files:
        seen = see(path, max_frames=MAX_REAL_FRAMES)
        shown = oracle.shown(path, seen.stream, max_frames=MAX_REAL_FRAMES)
        if (seen.pts, seen.ends) != (shown.pts, [*shown.pts[1:], shown.end_pts]):
            wrong.append((path.name, "times"))
        for fps in SAMPLE_FPS:
            if seen.sampled(fps) != shown.sampled(Fraction(fps)):
                wrong.append((path.name, f"sampled at {fps}"))
        if seen.sides != (shown.height, shown.width):
            wrong.append((path.name, "sides", seen.sides))
        found = [] if shown.is_hdr else likenesses_db(path, seen, shown)
        if not all(likeness >= SAME_FOOTAGE_DB for likeness in found):
            wrong.append((path.name, "pictures", found))
    assert len(files) > 0
    assert wrong == []
