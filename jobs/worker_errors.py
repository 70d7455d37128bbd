"""What a worker died of, in one sentence, out of what Ray says of it in a page."""

import re

__all__ = ["worker_sentence"]

# The last line of a traceback names the error; Ray wraps it in tracebacks of its own.
ENDS_TRACEBACK = re.compile(r"^(?!ray\.|UserCodeException)[\w.]*(?:Error|Exception|Exit)\b.*", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def worker_sentence(error: BaseException) -> str:
    """The innermost error that the texts of this one and its causes speak of."""
    said = ""
    inner: BaseException | None = error
    while inner is not None:
        text = COLOUR.sub("", str(inner))
        named = ENDS_TRACEBACK.findall(text)
        said = named[-1] if named else said or text.strip().split("\n")[0]
        inner = inner.__cause__
    return f"a worker failed: {said or type(error).__name__}"
