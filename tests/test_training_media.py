"""Files of training records become the clips that indexing would make of them."""

from pathlib import Path

import numpy as np
import pytest
from decode_helpers import SPEC
from PIL import Image
from synthetic_media import textured_shots, write_audio_only, write_video

from pipeline.decode_settings import DecodeSettings
from pipeline.settings import SegmentationSettings
from pipeline.training_media import MediaUnusable, TrainingMedia
from pipeline.training_records import TrainingRecord, Turn


@pytest.fixture(scope="module")
def media():
    loader = TrainingMedia(
        SPEC,
        segmentation=SegmentationSettings(sample_fps=2.0, tau=0.2),
        decode=DecodeSettings(),
        max_clip_tokens=120,
    )
    yield loader
    loader.close()


def record(path: Path, *, is_image: bool = False) -> TrainingRecord:
    turns = (Turn(question="", answer="A dog."),)
    return TrainingRecord(record_id="1", media=str(path), is_image=is_image, turns=turns)


def test_a_video_is_one_clip_of_all_its_scenes(media, tmp_path, rng):
    path = write_video(tmp_path / "a.mp4", textured_shots(rng, 3, 30))  # 9 s
    clip = media.clip(record(path))
    assert sum(scene.n_frames for scene in clip.scenes) == 18
    assert len(clip.scenes) >= 3
    assert clip.scenes[0].start_s == 0
    for scene, following in zip(clip.scenes, clip.scenes[1:], strict=False):
        assert scene.end_s == following.start_s


def test_a_picture_is_a_scene_of_repeated_frames_the_right_way_up(media, tmp_path, rng):
    pixels = rng.integers(0, 255, (60, 90, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    (scene,) = media.clip(record(tmp_path / "a.png", is_image=True)).scenes
    assert scene.n_frames == len(scene.frames) == SPEC.n_virtual_frames
    assert (scene.frames == scene.frames[:1]).all()
    height_px, width_px = scene.frames.shape[1:3]
    assert (height_px, width_px) == SPEC.frame_size(90, 60)


def unusable_files(folder: Path, rng: np.random.Generator) -> dict[str, tuple[Path, bool]]:
    (folder / "noise.mp4").write_bytes(rng.bytes(4096))
    (folder / "noise.png").write_bytes(rng.bytes(4096))
    pixels = Image.fromarray(rng.integers(0, 255, (60, 80, 3)).astype(np.uint8))
    for kind in ("avif", "blp", "webp"):
        pixels.convert("P" if kind == "blp" else "RGB").save(folder / f"torn.{kind}")
        content = (folder / f"torn.{kind}").read_bytes()
        (folder / f"torn.{kind}").write_bytes(content[: len(content) // 2])
    Image.fromarray(rng.random((60, 80)).astype(np.float32)).save(folder / "float.tiff")
    (folder / "folder.mp4").mkdir()
    long = write_video(folder / "long.mp4", textured_shots(rng, 30, 24))
    whole = (folder / "long.mp4").read_bytes()
    (folder / "torn.mp4").write_bytes(whole[: len(whole) // 8])
    return {
        "is not there": (folder / "gone.mp4", False),
        "folder.mp4 is not there": (folder / "folder.mp4", False),
        "is failed": (folder / "noise.mp4", False),
        "torn.mp4 is failed": (folder / "torn.mp4", False),
        "noise.png is no picture": (folder / "noise.png", True),
        "torn.avif is no picture": (folder / "torn.avif", True),
        "torn.blp is no picture": (folder / "torn.blp", True),
        "torn.webp is no picture": (folder / "torn.webp", True),
        "floats of no known range": (folder / "float.tiff", True),
        "xxx is not there": (folder / ("x" * 300), True),
        "more than 120 visual tokens": (long, False),
        "sound.mp4": (write_audio_only(folder / "sound.mp4"), False),
    }


def test_a_file_that_cannot_be_used_says_why_and_the_next_one_loads(media, tmp_path, rng):
    for reason, (path, is_image) in unusable_files(tmp_path, rng).items():
        with pytest.raises(MediaUnusable, match=reason):
            media.clip(record(path, is_image=is_image))
    good = write_video(tmp_path / "good.mp4", textured_shots(rng, 1, 24))
    assert media.clip(record(good)).scenes


def test_a_picture_of_too_many_visual_tokens_is_unusable(tmp_path, rng):
    Image.fromarray(rng.integers(0, 255, (84, 84, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    picture = record(tmp_path / "a.png", is_image=True)
    for most, is_usable in ((9, True), (8, False)):
        loader = TrainingMedia(
            SPEC,
            segmentation=SegmentationSettings(),
            decode=DecodeSettings(),
            max_clip_tokens=most,
        )
        if is_usable:
            assert loader.clip(picture).scenes
        else:
            with pytest.raises(MediaUnusable, match="takes more than 8 visual tokens"):
                loader.clip(picture)


@pytest.mark.parametrize("kind", ["eps", "ppm", "tga"])
def test_a_picture_of_no_named_kind_meets_no_decoder(media, tmp_path, kind):
    """Of the many that Pillow has, one starts another program on what it is given."""
    path = tmp_path / f"a.{kind}"
    Image.new("RGB", (90, 60)).save(path)
    path = path.rename(tmp_path / "a.png")
    with pytest.raises(
        MediaUnusable, match="is no picture of a kind that is read; expected BMP, GIF"
    ):
        media.clip(record(path, is_image=True))


def test_a_picture_of_more_pixels_than_memory_should_hold_is_never_unpacked(media, tmp_path):
    Image.new("1", (8200, 8200)).save(tmp_path / "large.png")
    with pytest.raises(MediaUnusable, match="8200 x 8200 pixels; expected at most 67 million"):
        media.clip(record(tmp_path / "large.png", is_image=True))


def test_sixteen_bits_keep_their_shades(media, tmp_path):
    ramp = np.linspace(0, 65535, 84).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (84, 1))).save(tmp_path / "ramp.png")
    (scene,) = media.clip(record(tmp_path / "ramp.png", is_image=True)).scenes
    np.testing.assert_allclose(scene.frames[0, 40, :, 0], ramp / 257, atol=2)
