"""Sixty broken files through the decode stage; `make fuzz` has two thousand."""

from collections import Counter

import pytest
from fuzz import MUTATIONS, Broken, Fuzz, sources

SEED, N_FILES = 7, 60


@pytest.fixture(scope="module")
def files(made_media):
    return sources(made_media)


def test_what_becomes_of_a_file_follows_from_seed_and_number(files):
    """Else no failure could be run again."""
    assert Broken.of(SEED, 3, files) == Broken.of(SEED, 3, files) != Broken.of(SEED, 4, files)
    assert Broken.of(SEED, 3, files).content != Broken.of(SEED + 1, 3, files).content


def test_every_mutation_is_tried_and_changes_the_file(files):
    tried = [Broken.of(SEED, number, files) for number in range(N_FILES)]
    assert {kind for broken in tried for kind in broken.what.split()} >= set(MUTATIONS)
    untouched = {path.read_bytes() for path in files}
    assert sum(broken.content in untouched for broken in tried) <= N_FILES / 20


def test_every_broken_file_ends_as_samples_or_as_a_typed_error(files, tmp_path):
    fuzz = Fuzz(tmp_path, files)
    all_ended = list(fuzz.ended(SEED, range(N_FILES)))
    fuzz.close()
    assert [str(ended) for ended in all_ended if ended.wrong] == []
    ends = Counter(ended.outcome["status"] for ended in all_ended)
    assert ends.total() == N_FILES
    assert {"success", "partial", "failed"} <= set(ends)
    assert not list(tmp_path.iterdir())
