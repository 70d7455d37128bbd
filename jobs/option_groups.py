"""Options that several commands take: the pipeline's settings, grouped in the order of the work."""

from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Group, Parameter

from pipeline.decode_settings import DecodeSettings
from pipeline.settings import (
    CaptionSettings,
    CommitSettings,
    IndexSettings,
    PackingSettings,
    PoolSettings,
    SegmentationSettings,
)
from pipeline.store_settings import OutStoreSettings, StoreSettings

__all__ = [
    "Flag",
    "GroupedSettings",
    "IndexOptions",
    "SegmentationOptions",
    "Several",
    "StoreOptions",
]

# A switch that is off unless named; it needs no --no- form.
Flag = Annotated[bool, Parameter(negative=())]

# An option that may be given several times.
Several = Annotated[tuple[str, ...], Parameter(negative_iterable=())]

SCENES, CLIPS, MODEL, WORKERS, LIMITS, COMMITS, STORES = (
    Group(name, sort_key=number)
    for number, name in enumerate(
        ("Scenes", "Clips", "Model", "Workers", "Limits", "Commits", "Object stores"), 10
    )
)

SegmentationOptions = Annotated[SegmentationSettings, Parameter(name="*", group=SCENES)]
PackingOptions = Annotated[PackingSettings, Parameter(name="*", group=CLIPS)]
CaptionOptions = Annotated[CaptionSettings, Parameter(name="*", group=MODEL)]
PoolOptions = Annotated[PoolSettings, Parameter(name="*", group=WORKERS)]
DecodeOptions = Annotated[DecodeSettings, Parameter(name="*", group=LIMITS)]
CommitOptions = Annotated[CommitSettings, Parameter(name="*", group=COMMITS)]
StoreOptions = Annotated[StoreSettings, Parameter(name="*", group=STORES)]
OutStoreOptions = Annotated[OutStoreSettings, Parameter(name="*", group=STORES)]


@dataclass(frozen=True, kw_only=True)
class GroupedSettings(IndexSettings):
    """The settings of a run, each group under its heading."""

    segmentation: SegmentationOptions = field(default_factory=SegmentationSettings)
    packing: PackingOptions = field(default_factory=PackingSettings)
    caption: CaptionOptions = field(default_factory=CaptionSettings)
    pools: PoolOptions = field(default_factory=PoolSettings)
    decode: DecodeOptions = field(default_factory=DecodeSettings)
    commit: CommitOptions = field(default_factory=CommitSettings)
    store: StoreOptions = field(default_factory=StoreSettings)
    out_store: OutStoreOptions = field(default_factory=OutStoreSettings)


IndexOptions = Annotated[GroupedSettings, Parameter(name="*")]
