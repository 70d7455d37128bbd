"""Things in front of the scenery of a rendered shot, each with an outline, a colour and a way.

Most are nameless: ellipses, boxes and wedges of any colour, some with a pattern or a rim of their
own. A named one is a circle, square or triangle of a pure colour with a black or white rim, as few
things in footage are.

Shapes: H, W pixels, 3 RGB.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flexivideo.plain_world.chance import log_uniform, near_an_axis
from flexivideo.plain_world.sway import NO_SWAY, Sway, sample_sway
from flexivideo.plain_world.words import FORMS, PAINTS

__all__ = ["Thing", "sample_named_thing", "sample_things"]

Floats = NDArray[np.floating]
Line = NDArray[np.float64]

RGB = {
    "red": (0.85, 0.1, 0.1),
    "yellow": (0.95, 0.85, 0.1),
    "green": (0.1, 0.7, 0.15),
    "blue": (0.1, 0.2, 0.85),
    "white": (0.97, 0.97, 0.97),
}
BLACK = (0.03, 0.03, 0.03)

# Inner edge of the rim, share of the radius.
RIM = 0.78

# How often a nameless thing is an ellipse, a box, a wedge.
NAMELESS_SHARES = (0.5, 0.3, 0.2)

# View heights a second, and view heights.
NAMED_SPEEDS, NAMED_RADII = (0.06, 1.0), (0.14, 0.3)

# Amplitudes of things that move to and fro, view heights, and how many do.
SWAYS, SWAY_SHARE = (0.02, 0.25), 0.45


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing that moves on its own; lengths in view heights, from the view's middle.

    Attributes:
        form: "circle" (an ellipse, if the radii differ), "square" (a box) or "triangle".
        radii: (down, right).
        position: at time 0, (down, right), 0 to 1 along each way through the view.
        velocity: a second, (down, right); it comes in again at the other side.
        colour: RGB, 0 to 1.
        sway: view heights.
        grain: how much a pattern of its own shows, 0 to 1.
        rim: colour of its rim; None: it has none.
    """

    form: str
    radii: tuple[float, float]
    position: tuple[float, float]
    velocity: tuple[float, float]
    colour: tuple[float, float, float]
    sway: Sway = NO_SWAY
    grain: float = 0.0
    rim: tuple[float, float, float] | None = None

    def velocity_at(self, time_s: float) -> Line:
        """How it moves at a time: view heights a second, (down, right)."""
        return np.array(self.velocity) + self.sway.velocity(time_s)

    def offsets(self, time_s: float, rows: Line, columns: Line) -> tuple[Line, Line]:
        """Rows and columns of the picture as seen from the thing's middle, in its radii.

        It leaves the view on one side before it comes in on the other.
        """
        down, right = (
            (line - self._middle(axis, time_s, edge)) / self.radii[axis]
            for axis, (line, edge) in enumerate(
                ((rows, self._edge(rows)), (columns, self._edge(columns)))
            )
        )
        return down, right

    def distance(self, down: Floats, right: Floats) -> Floats:
        """How far out places are: 0 in the middle, 1 on the outline; of :meth:`offsets`."""
        if self.form == "square":
            return np.maximum(np.abs(down), np.abs(right))
        if self.form == "triangle":
            return 2 * np.maximum(down, np.sqrt(0.75) * np.abs(right) - 0.5 * down)
        return np.sqrt(down**2 + right**2)

    def draw(self, view_HW3: Floats, time_s: float, rows: Line, columns: Line) -> None:
        """Draw it into a view, with edges one pixel soft."""
        softness = np.float32((rows[1] - rows[0]) / min(self.radii))
        where, slices = [], []
        for offset in self.offsets(time_s, rows, columns):
            near = np.flatnonzero(np.abs(offset) < 1 + softness)
            if not len(near):
                return
            slices.append(slice(near[0], near[-1] + 1))
            where.append(offset[slices[-1]].astype(np.float32))
        distance = self.distance(where[0][:, None], where[1][None])[..., None]
        # A pattern fixed to the thing, so that it is seen to carry its texture along.
        pattern = np.sin(7 * where[0])[:, None] * np.sin(9 * where[1])[None]
        surface = np.array(self.colour, np.float32) * (1 + self.grain * pattern[..., None])
        if self.rim is not None:
            inner = np.clip((RIM - distance) / softness + np.float32(0.5), 0, 1)
            surface = np.array(self.rim, np.float32) * (1 - inner) + surface * inner
        cover = np.clip((1 - distance) / softness + np.float32(0.5), 0, 1)
        part = view_HW3[slices[0], slices[1]]
        part += cover * (np.clip(surface, 0, 1) - part)

    def _edge(self, line: Line) -> float:
        """Half of a line of pixel middles, from border to border."""
        return float(line[-1] - line[0]) / 2 * len(line) / max(len(line) - 1, 1)

    def _middle(self, axis: int, time_s: float, edge: float) -> float:
        span = 2 * (edge + self.radii[axis])
        gone = self.position[axis] * span + self.velocity[axis] * time_s
        return float((gone + self.sway.offset(time_s)[axis]) % span - span / 2)


def sample_things(rng: np.random.Generator, *, moves: bool) -> tuple[Thing, ...]:
    """Nameless things, of which any may be none or hide another."""
    count = rng.integers(1, 6) if moves else rng.integers(0, 2)
    pace = log_uniform(rng, 0.03, 1.2) if moves else 0.0
    # A crowd may have one way, like leaves in the wind, or move to and fro, like people at a table.
    common = near_an_axis(rng) if rng.random() < 0.3 else None
    stays = moves and common is None and rng.random() < SWAY_SHARE
    things = []
    for _ in range(count):
        down, right = common or near_an_axis(rng)
        speed, size = pace * rng.uniform(0.6, 1.4), rng.uniform(0.06, 0.4)
        things.append(
            Thing(
                form=str(rng.choice(FORMS, p=NAMELESS_SHARES)),
                radii=(float(size), float(size * rng.uniform(0.4, 1.6))),
                position=(float(rng.random()), float(rng.random())),
                velocity=(0.0, 0.0) if stays else (float(speed * down), float(speed * right)),
                colour=_any_colour(rng) if rng.random() < 0.7 else RGB[str(rng.choice(PAINTS))],
                sway=sample_sway(rng, *SWAYS) if stays else NO_SWAY,
                grain=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.6 else 0.0,
                rim=_any_colour(rng) if rng.random() < 0.2 else None,
            )
        )
    return tuple(things)


def sample_named_thing(rng: np.random.Generator) -> tuple[str, Thing]:
    """A coloured shape on its way, and its name (of ``words.THINGS``)."""
    paint, form = str(rng.choice(PAINTS)), str(rng.choice(FORMS))
    size, speed = float(rng.uniform(*NAMED_RADII)), log_uniform(rng, *NAMED_SPEEDS)
    down, right = near_an_axis(rng)
    thing = Thing(
        form=form,
        radii=(size, size),
        position=(float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.3, 0.7))),
        velocity=(speed * down, speed * right),
        colour=RGB[paint],
        rim=BLACK if paint in ("white", "yellow") else RGB["white"],
    )
    return f"{paint} {form}", thing


def _any_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = (rng.random(3) * rng.uniform(0.3, 1.0)).tolist()
    return red, green, blue
