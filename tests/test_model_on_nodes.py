"""What a model actor loads on its own machine is what the run was planned with."""

import shutil

import pytest
from huggingface_hub import constants

from flexivideo.errors import ModelError
from flexivideo.visual_spec import EMBEDDED_CHECKPOINT, checkpoint_folder, hub_revision

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub's cache in which a repository has two commits, the old one its newest."""
    repository = tmp_path / "models--someone--captions"
    for commit in (OLD, NEW):
        shutil.copytree(EMBEDDED_CHECKPOINT, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(OLD)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    checkpoint_folder.cache_clear()
    yield repository
    checkpoint_folder.cache_clear()


def test_an_actor_takes_the_commit_of_the_plan_though_the_hub_has_a_newer_one(hub):
    """Captions of other weights would stand under the planned ones' id."""
    planned = hub_revision("someone/captions")
    assert planned == OLD
    (hub / "refs" / "main").write_text(NEW)
    checkpoint_folder.cache_clear()  # another process
    assert checkpoint_folder("someone/captions", revision=planned).name == OLD
    assert checkpoint_folder("someone/captions").name == NEW


def test_a_folder_has_no_commit(tmp_path):
    assert hub_revision(None) is None
    assert hub_revision(str(tmp_path)) is None


@pytest.mark.parametrize("model", ["/only/the/driver/has/this", "s3://models/captions"])
def test_what_this_machine_does_not_have_is_said_with_its_name(model):
    with pytest.raises(ModelError, match=r"is no folder on .*every machine has"):
        checkpoint_folder(model)
