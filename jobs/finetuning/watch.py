"""What the person at the terminal sees of a run: a line now and then, from the run's own log."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.finetuning.run_log import count_left_out, read_metrics

__all__ = ["describe_step", "watched"]

EVERY_S = 10.0


@contextmanager
def watched(out: Path, *, n_steps: int, say: Callable[[str], None]) -> Iterator[None]:
    """Say the newest step of a run while it goes on, and once more at its end."""
    stop = threading.Event()

    def watch() -> None:
        seen = -1
        ended = False
        while not ended:
            ended = stop.wait(EVERY_S)
            metrics = read_metrics(out)
            if metrics and metrics[-1]["step"] != seen:
                seen = metrics[-1]["step"]
                n_left_out = count_left_out(out)
                say(describe_step(metrics, n_steps=n_steps, n_left_out=n_left_out))

    thread = threading.Thread(target=watch, name="finetune-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def describe_step(metrics: list[dict[str, Any]], *, n_steps: int, n_left_out: int = 0) -> str:
    """One line about the newest step: losses, rates, time left, records left out so far.

    Each record counts once, however often its turn came, as it does when the run has ended.
    """
    last, recent = metrics[-1], metrics[-20:]
    step_s = sum(line["step_s"] for line in recent) / len(recent)
    n_clips = sum(line["n_clips"] for line in recent) / len(recent)
    losses = [line["loss"] for line in recent if "loss" in line]
    evaluated = next((line for line in reversed(metrics) if "n_eval_tokens" in line), None)
    parts = [
        f"step {last['step'] + 1}/{n_steps}",
        f"loss {sum(losses) / len(losses):.4f}" if losses else "no loss: no record can be used",
        f"lr {last['lr']:.2e}",
        f"{n_clips / max(step_s, 1e-9):.1f} clips/s",
        f"{(n_steps - last['step'] - 1) * step_s / 60:.0f} min left",
    ]
    if evaluated:
        loss = evaluated.get("eval_loss")
        parts.append("nothing to evaluate on" if loss is None else f"eval_loss {loss:.4f}")
    if n_left_out:
        parts.append(f"records left out: {n_left_out}")
    return "  ".join(parts)
