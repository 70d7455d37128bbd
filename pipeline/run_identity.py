"""The settings ids under which a run's results stand, and what each stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.identity import settings_id

__all__ = ["RunIdentity"]

# Raise one when the code behind it changes what it gives for the same settings.
SEGMENTER_REVISION = 2
PACKING_REVISION = 1


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Ids of a run's segmenter, packing, model, prompt and limits.

    Attributes:
        meanings: id to the settings it was made from: the rows of the ``settings`` table.
    """

    segmenter_id: str
    packing_id: str
    model_id: str
    prompt_id: str
    limits_id: str
    meanings: Mapping[str, Mapping[str, object]]

    def asking(self, prompt: str | None) -> "RunIdentity":
        """Identity of a video that is asked something of its own; None: what the others are."""
        if prompt is None:
            return self
        meaning = {**self.meanings[self.prompt_id], "prompt": prompt}
        own_id = settings_id("prompt", meaning)
        return replace(self, prompt_id=own_id, meanings={**self.meanings, own_id: meaning})

    @classmethod
    def of(
        cls,
        *,
        segmenter: Mapping[str, object],
        packing: Mapping[str, object],
        model: Mapping[str, object],
        prompt: Mapping[str, object],
        limits: Mapping[str, object],
    ) -> "RunIdentity":
        """Identity of these settings; what changes a result must be in one of them."""
        groups = {
            "segmenter": {"revision": SEGMENTER_REVISION, **segmenter},
            "packing": {"revision": PACKING_REVISION, **packing},
            "model": dict(model),
            "prompt": dict(prompt),
            "limits": dict(limits),
        }
        ids = {kind: settings_id(kind, meaning) for kind, meaning in groups.items()}
        return cls(
            segmenter_id=ids["segmenter"],
            packing_id=ids["packing"],
            model_id=ids["model"],
            prompt_id=ids["prompt"],
            limits_id=ids["limits"],
            meanings={ids[kind]: meaning for kind, meaning in groups.items()},
        )
