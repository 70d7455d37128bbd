"""What a run is about to do, for a person; and how names and numbers are said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.forecast import Forecast

__all__ = ["RunPreview", "counted", "printable"]


@dataclass(frozen=True, kw_only=True)
class RunPreview:
    """What a run is about to do.

    Attributes:
        n_listed: videos under the sources, as far as they are listed.
        is_whole: whether they all are.
        n_done: of these, already done under the same settings.
        n_gone: known videos that were asked for and are not there any more.
        left: extension to number of files in folders that were left as no video.
        unreadable: folders that could not be listed, each with the reason.
        linked: links to folders, which were not followed.
        n_unusable: lines of manifests that could not be used, as far as they are read.
        unusable: the first of them, each with the reason.
        out: the root.
        model: what captions.
        forecast: what it will bring and take; None: nobody asked.
    """

    n_listed: int
    is_whole: bool
    n_done: int
    n_gone: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    unreadable: Sequence[str] = ()
    linked: Sequence[str] = ()
    n_unusable: int = 0
    unusable: Sequence[str] = ()
    out: str
    model: str
    forecast: Forecast | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it, ready for ``json.dumps``."""
        return {
            "n_listed": self.n_listed,
            "is_whole": self.is_whole,
            "n_already_done": self.n_done,
            "n_gone": self.n_gone,
            "left": dict(self.left),
            "unreadable": list(self.unreadable),
            "linked": list(self.linked),
            "n_unusable": self.n_unusable,
            "unusable": list(self.unusable),
            "out": self.out,
            "model": self.model,
            "forecast": self.forecast and self.forecast.to_json(),
        }

    def sentence(self) -> str:
        """The plan in one sentence for a person."""
        to_do = self.n_listed - self.n_done
        so_far = "" if self.is_whole else " so far"
        parts = [f"{counted(self.n_listed, 'video')} listed{so_far}, {self.n_done} already done"]
        parts.append("nothing is left to do" if not to_do else f"{to_do} to do")
        if self.n_gone:
            parts.append(f"{self.n_gone} not there any more")
        if self.left:
            kinds = ", ".join(
                f"{number} {printable('.' + name) if name else 'without extension'}"
                for name, number in sorted(self.left.items())
            )
            parts.append(f"left {counted(sum(self.left.values()), 'other file')} ({kinds})")
        if self.linked:
            parts.append(
                f"{counted(len(self.linked), 'link')} to folders not followed, the first "
                f"{printable(self.linked[0])}: name it as a source to take it"
            )
        if self.unreadable:
            parts.append(
                f"{counted(len(self.unreadable), 'folder')} could not be read, the first "
                f"{printable(self.unreadable[0])}"
            )
        if self.n_unusable:
            parts.append(
                f"{counted(self.n_unusable, 'line')} of manifests could not be used, the first "
                f"{printable(self.unusable[0])}"
            )
        return "; ".join(parts) + "."


def printable(text: str) -> str:
    """The text with control characters spelled out: a file's name must not steer a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number with its noun, in the plural where it needs one; by default with an s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
