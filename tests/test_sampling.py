from fractions import Fraction

import pytest

from pipeline.sampling import InstantSampler


def sampled(times, end, *, sample_fps, time_base):
    sampler = InstantSampler(sample_fps=sample_fps, time_base=time_base)
    edges = [*times, end]
    pairs = zip(times, edges[1:], strict=True)
    return [pts for pts, next_pts in pairs if sampler.holds_instant(pts, next_pts)]


def by_definition(times, end, *, sample_fps, time_base):
    """The frames that are on the screen at some first_pts + k / fps before the end."""
    tick = Fraction(str(sample_fps)) * time_base
    edges = [*times, end]
    n_instants = int((end - times[0]) * tick) + 2
    instants = [times[0] + k / tick for k in range(n_instants)]
    return [
        start
        for start, stop in zip(times, edges[1:], strict=True)
        if any(start <= instant < stop for instant in instants)
    ]


@pytest.mark.parametrize("sample_fps", [0.3, 0.5, 1, 2, 8, 23.976, 60, 1000])
@pytest.mark.parametrize(
    "time_base", [Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000)]
)
def test_samples_are_the_frames_on_the_screen_at_the_instants(rng, sample_fps, time_base):
    steps = rng.integers(1, 3000 if time_base.denominator == 90_000 else 60, 60)
    times = (int(rng.integers(-500, 500)) + steps.cumsum()).tolist()
    end = times[-1] + 7
    arguments = {"sample_fps": sample_fps, "time_base": time_base}
    assert sampled(times, end, **arguments) == by_definition(times, end, **arguments)


def test_a_constant_rate_gives_every_nth_frame():
    times = list(range(0, 10_000, 40))
    found = sampled(times, 10_000, sample_fps=2, time_base=Fraction(1, 1000))
    assert found == [t for k in range(20) for t in times if t <= k * 500 < t + 40]


def test_ten_hours_of_ntsc_lose_no_instant():
    """30000/1001 fps: a float clock would drift off the frames."""
    step, n_frames = 1001, 36_000 * 30
    sampler = InstantSampler(sample_fps=1, time_base=Fraction(1, 30_000))
    sampler.holds_instant(0, step)
    for second in range(0, n_frames * step // 30_000, 97):
        frame = second * 30_000 // step
        assert sampler.holds_instant(frame * step, (frame + 1) * step)
        assert not sampler.holds_instant((frame + 1) * step, (frame + 2) * step)


def test_a_frame_that_holds_several_instants_is_sampled_once():
    assert sampled([0, 5000, 5100], 5200, sample_fps=10, time_base=Fraction(1, 1000)) == [
        0,
        5000,
        5100,
    ]
