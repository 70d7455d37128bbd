from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_checkpoints import tiny_processor, tiny_tokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from flexivideo.configuration_flexivideo import FlexiVideoConfig
from flexivideo.processing_flexivideo import FlexiVideoProcessor
from flexivideo.scene_patches import (
    IMAGE_MEAN,
    IMAGE_STD,
    ClipInput,
    SceneInput,
    resize_frames,
)
from flexivideo.temporal_kernel import expand_kernel, refit_kernel


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


def test_every_pixel_is_in_its_place(processor, rng):
    """Patch n of a token, channel c, tap t, row, column: Qwen2-VL's order, checked by index."""
    pair = rng.integers(0, 256, (2, 56, 84, 3)).astype(np.uint8)
    scene = SceneInput(frames=pair, n_frames=2, start_s=0.0, end_s=1.0)
    patches = processor.vision_inputs([ClipInput(scenes=(scene,))])["pixel_values_videos"]
    patches = patches.numpy().reshape(2, 3, 2, 2, 3, 2, 14, 14)  # token y, x, patch y, x, C, T
    normalised = (pair / 255 - IMAGE_MEAN) / IMAGE_STD
    for _ in range(200):
        row, column, channel, tap = (int(rng.integers(n)) for n in (56, 84, 3, 2))
        value = patches[
            row // 28,
            column // 28,
            row // 14 % 2,
            column // 14 % 2,
            channel,
            tap,
            row % 14,
            column % 14,
        ]
        assert value == pytest.approx(normalised[tap, row, column, channel], abs=1e-5)


@pytest.mark.parametrize(
    ("height_px", "width_px", "grey_levels"), [(56, 84, 0), (60, 90, 1), (333, 200, 1), (30, 40, 1)]
)
def test_the_pixels_are_the_stock_processors(processor, rng, height_px, width_px, grey_levels):
    """Equal where nothing is resized; elsewhere Pillow and torch round bicubic sums differently."""
    stock = Qwen2VLImageProcessorPil(size={"shortest_edge": 56 * 56, "longest_edge": 84 * 84})
    image = rng.integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
    ours = processor(text=processor.prompt("Describe."), images=[image])
    theirs = stock(images=[image], return_tensors="pt")
    assert ours["video_grid_thw"].tolist() == theirs["image_grid_thw"].tolist()
    apart = (ours["pixel_values_videos"] - theirs["pixel_values"]).abs().numpy()
    by_channel = apart.reshape(-1, 3, 2 * 14 * 14).max(axis=(0, 2))
    assert (by_channel * 255 * IMAGE_STD <= grey_levels + 1e-3).all()


def test_a_batch_counts_the_tokens_it_places(processor, rng):
    videos = [rng.integers(0, 256, (n, 60, 90, 3)).astype(np.uint8) for n in (5, 1, 9)]
    batch = processor(text=processor.prompt("Describe."), videos=videos)
    clips = [processor.segment(video, fps=2.0) for video in videos]
    placed = (batch["mm_token_type_ids"] == 2).sum(dim=1).tolist()
    assert placed == [processor.n_visual_tokens(clip) for clip in clips]
    assert batch["video_grid_thw"][:, 0].tolist() == [len(clip.scenes) for clip in clips]
    assert batch["attention_mask"][:, -1].tolist() == [1, 1, 1]  # padded on the left


def processor_of(mode):
    return tiny_processor(temporal_resample=mode, max_pixels=448 * 448)


@pytest.mark.parametrize("mode", ["tei", "pi", "pi_const"])
def test_an_image_is_a_scene_of_repeated_frames(mode, rng):
    """A kernel answers an image as it answers the image for as many frames as it has taps."""
    processor = processor_of(mode)
    image = rng.integers(0, 256, (60, 60, 3)).astype(np.uint8)
    text = processor.prompt("Describe.")
    one = processor(text=text, images=[image])["pixel_values_videos"]
    many = processor(text=text, videos=[np.repeat(image[None], 12, 0)])["pixel_values_videos"]
    assert one.numpy() == pytest.approx(many.numpy(), abs=1e-5)


@pytest.mark.parametrize("mode", ["tei", "pi", "pi_const"])
def test_the_patches_answer_as_the_refitted_kernel_does_on_normalised_frames(mode, rng):
    """<patches, w> = <normalised frames, P w>, for scenes of 1 to 64 frames.

    Normalising what was summed would lose or double the mean wherever weights do not add up to 1.
    """
    processor, kernel = processor_of(mode), rng.standard_normal((4, 3, 2, 14, 14))
    if mode != "tei":
        kernel = expand_kernel(kernel, processor.t_init)
    for n_frames in range(1, 65):
        frames = rng.integers(0, 256, (n_frames, 28, 28, 3)).astype(np.uint8)
        scene = SceneInput(frames=frames, n_frames=n_frames, start_s=0.0, end_s=1.0)
        patches = processor.vision_inputs([ClipInput(scenes=(scene,))])["pixel_values_videos"]
        answer = kernel.reshape(4, -1) @ patches[0].double().numpy()
        seen = ((frames / 255 - IMAGE_MEAN) / IMAGE_STD)[:, :14, :14]
        refitted = refit_kernel(kernel, n_frames, mode)
        expected = np.einsum("octpq,tpqc->o", refitted, seen)
        assert answer == pytest.approx(expected, rel=1e-3, abs=1e-2), n_frames


def test_visuals_of_two_kinds_are_refused(processor):
    frame = np.zeros((56, 56, 3), np.uint8)
    with pytest.raises(ValueError, match="2 kinds"):
        processor(text=processor.prompt("Describe."), images=[frame], videos=[frame[None]])


def test_resizing_keeps_a_constant(processor):
    frames = np.full((2, 33, 47, 3), 77, np.uint8)
    assert (resize_frames(frames, (56, 84)) == 77).all()


@pytest.mark.parametrize(
    ("shape", "named"), [((0, 56, 56, 3), "at least one frame"), ((56, 56, 3), "frames, height")]
)
def test_frames_of_a_wrong_shape_are_refused(processor, shape, named):
    with pytest.raises(ValueError, match=named):
        processor.segment(np.zeros(shape, np.uint8), fps=2.0)


def test_a_clip_of_mixed_sizes_is_refused():
    scenes = tuple(
        SceneInput(frames=np.zeros((1, side, 56, 3), np.uint8), n_frames=1, start_s=0, end_s=1)
        for side in (56, 84)
    )
    with pytest.raises(ValueError, match="all of one size"):
        ClipInput(scenes=scenes)


def test_a_text_without_a_place_for_the_clip_is_refused(processor, rng):
    with pytest.raises(ValueError, match="expected one"):
        processor(text="Describe.", images=[np.zeros((56, 56, 3), np.uint8)])


def test_frames_that_no_patch_fits_are_refused_with_a_size_that_does(processor):
    scene = SceneInput(frames=np.zeros((1, 57, 56, 3), np.uint8), n_frames=1, start_s=0, end_s=1)
    with pytest.raises(ValueError, match="multiples of 28"):
        processor.vision_inputs([ClipInput(scenes=(scene,))])


def test_a_tokenizer_without_video_tokens_is_refused():
    tokenizer = tiny_tokenizer()
    tokenizer.convert_tokens_to_ids = lambda token: None
    with pytest.raises(ValueError, match="video_pad"):
        FlexiVideoProcessor(tokenizer)


@pytest.mark.parametrize("fps", [1.0, 2.0, 8.0, 23.976])
def test_scenes_start_at_their_first_frames_times(processor, rng, fps):
    video = rng.integers(0, 256, (5, 56, 56, 3)).astype(np.uint8)  # noise: a scene a frame
    batch = processor(text=processor.prompt("Describe."), videos=[video], fps=fps)
    expected = np.arange(5) / fps
    np.testing.assert_allclose(batch["scene_start_s"][0], expected)
    default = processor(text=processor.prompt("Describe."), videos=[video])
    np.testing.assert_allclose(default["scene_start_s"][0], np.arange(5) / processor.sample_fps)


NOISE = np.random.default_rng(0).integers(0, 256, (2, 56, 84, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"images": [np.full((56, 56, 3), np.nan, np.float32)]}, "expected uint8"),
        ({"images": [NOISE[0] / 255]}, "expected uint8"),
        ({"images": [NOISE[0, ..., 0]]}, "expected uint8"),
        ({"images": [np.zeros((56, 56, 4), np.uint8)]}, "expected uint8"),
        ({"videos": [[NOISE[0], NOISE[0, :, :56]]]}, "one array of frames of one size"),
        ({"videos": [NOISE / 255]}, "expected uint8"),
        ({"videos": [NOISE], "fps": 0.0}, "sample_fps is 0.0"),
        ({"videos": [NOISE], "fps": -2.0}, "sample_fps is -2.0"),
        ({"videos": [NOISE], "fps": float("nan")}, "sample_fps is nan"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_picture_or_video_says_what_was_expected(processor, given, said):
    with pytest.raises(ValueError, match=said):
        processor(text=processor.prompt("Describe."), **given)


@pytest.mark.parametrize("images", [[Image.new("RGB", (90, 60))], [[[[1, 2, 3]]]]])
def test_a_picture_that_is_no_array_is_refused_with_what_makes_one(processor, images):
    with pytest.raises(ValueError, match=r"an image is a \w+; expected an array"):
        processor(text=processor.prompt("Describe."), images=images)


@pytest.mark.parametrize("times", [(np.nan, 1.0), (0.0, np.nan), (0.0, np.inf), (2.0, 1.0)])
def test_a_scene_of_no_time_is_refused(times):
    start_s, end_s = times
    scene = SceneInput(frames=NOISE, n_frames=len(NOISE), start_s=start_s, end_s=end_s)
    with pytest.raises(ValueError, match=r"a scene lasts from .* expected finite times"):
        ClipInput(scenes=(scene,))


def test_virtual_frames_that_are_not_finite_or_of_another_kind_are_refused(processor):
    virtual = np.full((2, 56, 84, 3), np.nan, np.float32)
    scene = SceneInput(frames=virtual, n_frames=9, start_s=0.0, end_s=4.5)
    with pytest.raises(ValueError, match="NaN or infinity"):
        processor(text=processor.prompt("Describe."), clips=[ClipInput(scenes=(scene,))])
    with pytest.raises(ValueError, match="expected uint8"):
        ClipInput(scenes=(replace(scene, frames=NOISE.astype(np.int64)),))


@pytest.mark.parametrize(
    "numbers", [{"tau": -1.0}, {"tau": float("nan")}, {"sample_fps": float("inf")}]
)
def test_numbers_that_mean_nothing_are_refused(processor, numbers):
    with pytest.raises(ValueError, match="expected finite numbers"):
        FlexiVideoProcessor(processor.tokenizer, **numbers)
    with pytest.raises(ValueError, match="expected finite numbers"):
        FlexiVideoConfig(**numbers)
