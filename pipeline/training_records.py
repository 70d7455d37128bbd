"""Training data as published, into records of one form: a video or picture, and what is said of it.

A file is a JSON array, JSON Lines or Parquet; which layout a record has is seen from its fields:

    conversations, video | image     LLaVA-Video-178K, ShareGPT4Video's instructions
    captions, video_path             ShareGPT4Video's sharegpt4video_40k.jsonl; idx -1 is the whole
    caption, image_url               PixMo-Cap; its picture is a file named by the URL's SHA-256
    caption, video | image           plain; a prompt is optional

Media are named relative to a root. What cannot be used is said and counted, and never ends a run.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flexivideo.errors import SettingsError

__all__ = ["LeftOut", "TrainingRecord", "Turn", "read_records"]

# What published conversations write where the visual stands.
PLACEHOLDERS = ("<image>", "<video>")

WHOLE_VIDEO = "-1"

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A question, and the answer that is learned. An empty question: the run's own prompt."""

    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """A video or a picture, and what is said of it.

    Attributes:
        record_id: file and number, such as ``data/train.jsonl:17``; of JSON Lines the line's.
        media: path of the file.
        is_image: whether it is a picture, which is a scene of repeated frames.
        turns: at least one.
    """

    record_id: str
    media: str
    is_image: bool
    turns: tuple[Turn, ...]


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A record that cannot be used, and why."""

    record_id: str
    reason: str


def read_records(path: Path, media_root: Path) -> Iterator[TrainingRecord | LeftOut]:
    """The records of a file, in its order.

    Args:
        path: JSON array (``.json``), JSON Lines (``.jsonl``) or Parquet (``.parquet``).
        media_root: what the records' paths are relative to.

    Raises:
        SettingsError: if the file is of another kind or cannot be read.
    """
    for number, fields in enumerate(_rows(path), 1):
        if fields is None:
            continue
        record_id = f"{path}:{number}"
        if isinstance(fields, str):
            yield LeftOut(record_id=record_id, reason=fields)
            continue
        try:
            yield _record(record_id, fields, media_root)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            yield LeftOut(record_id=record_id, reason=f"not a record of a known layout: {error}")


def _rows(path: Path) -> Iterator[Fields | str | None]:
    """Fields of each record, or why a line has none; None for an empty line."""
    try:
        if path.suffix == ".parquet":
            columns = [name for name in pq.read_schema(path).names if name != "transcripts"]
            for batch in pq.ParquetFile(path).iter_batches(columns=columns):
                yield from batch.to_pylist()
        elif path.suffix == ".jsonl":
            with open(path, encoding="utf-8-sig", errors="surrogateescape") as lines:
                yield from (_parsed(line) if line.strip() else None for line in lines)
        elif path.suffix == ".json":
            document = json.loads(path.read_text(encoding="utf-8-sig"))
            if not isinstance(document, list):
                raise SettingsError(f"{path} holds a {type(document).__name__}; expected an array")
            yield from (
                row if isinstance(row, dict) else f"not an object: {row!r}" for row in document
            )
        else:
            raise SettingsError(f"{path} is of no known kind; expected .json, .jsonl or .parquet")
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _parsed(line: str) -> Fields | str:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return fields if isinstance(fields, dict) else f"not an object: {line[:40]!r}"


def _record(record_id: str, fields: Fields, media_root: Path) -> TrainingRecord:
    if "conversations" in fields:
        turns = _conversation(fields["conversations"])
    elif "captions" in fields:
        turns = (Turn(question="", answer=_whole_caption(fields["captions"])),)
    else:
        question = _text(fields.get("prompt") or "", "the prompt")
        turns = (Turn(question=question, answer=_text(fields["caption"], "the caption")),)
    for turn in turns:
        if not turn.answer:
            raise ValueError(f"an answer is {turn.answer!r}; expected text")
    media, is_image = _media(fields)
    return TrainingRecord(
        record_id=record_id, media=_under(media_root, media), is_image=is_image, turns=turns
    )


def _conversation(messages: list[Fields]) -> tuple[Turn, ...]:
    """Turns of a conversation; the place of the visual is always before the first question."""
    spoken = [message for message in messages if message["from"] != "system"]
    speakers = [message["from"] for message in spoken]
    if not spoken or speakers != ["human", "gpt"] * (len(spoken) // 2):
        raise ValueError(f"the speakers are {speakers}; expected human and gpt by turns")
    texts = [_text(message["value"], "what is said") for message in spoken]
    for placeholder in PLACEHOLDERS:
        texts = [text.replace(placeholder, "") for text in texts]
    return tuple(
        Turn(question=question.strip(), answer=answer.strip())
        for question, answer in zip(texts[::2], texts[1::2], strict=True)
    )


def _whole_caption(captions: list[Fields]) -> str:
    """ShareGPT4Video describes keyframe after keyframe, and under idx -1 the whole."""
    for caption in captions:
        if str(caption["idx"]) == WHOLE_VIDEO:
            return _text(caption["content"], "the caption")
    raise ValueError(f"{len(captions)} captions, none of them of the whole (idx {WHOLE_VIDEO})")


def _media(fields: Fields) -> tuple[str, bool]:
    """Path under the root, and whether it is a picture."""
    for name, is_image in (("video", False), ("video_path", False), ("image", True)):
        media = fields.get(name)
        if isinstance(media, list) and len(media) == 1:
            media = media[0]
        if isinstance(media, str) and media:
            return media, is_image
    url = fields.get("image_url")
    if isinstance(url, str) and url:
        return hashlib.sha256(url.encode()).hexdigest(), True
    raise ValueError(f"fields {sorted(fields)}; expected one video, video_path, image or image_url")


def _text(value: object, what: str) -> str:
    """Text without space around it; numbers, lists and nulls are not learned as their spelling."""
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r}; expected text")
    value.encode("utf-8")  # half of a surrogate pair is no text
    return value.strip()


def _under(media_root: Path, media: str) -> str:
    """Path of a file under the root, which what a record says cannot leave.

    Links are followed, wherever they lead: whoever laid out the root made them.
    """
    root = os.path.abspath(media_root)
    path = os.path.normpath(os.path.join(root, media))
    if os.path.commonpath([root, path]) != root:
        raise ValueError(f"the path {media!r} leaves the media root {root!r}")
    return path
