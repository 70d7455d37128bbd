"""A decode child that a file takes down whose name says how: what hostile bytes do to libav."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from pipeline import decode_child, video_rows

real_rows = video_rows.video_rows


def rows(ref: Any, *args: Any, **kwargs: Any) -> Iterator[pa.RecordBatch]:
    """The real rows, but for the harm."""
    for batch in real_rows(ref, *args, **kwargs):
        if "crash" in ref.uri:
            os.kill(os.getpid(), signal.SIGSEGV)
        while "hang" in ref.uri:
            pass
        yield batch


if __name__ == "__main__":
    video_rows.video_rows = rows  # type: ignore[assignment]
    decode_child.main()
