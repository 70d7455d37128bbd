import torch
from transformers.cache_utils import DynamicLayer

from flexivideo.roomy_cache import ROOM_TOKENS, RoomyLayer


def test_holds_what_a_layer_holds_that_grows_by_copies():
    """Whatever is added, taken off the end, or left out, and however often the room is used up."""
    generator = torch.Generator().manual_seed(0)

    def draw(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    for _ in range(20):
        roomy, plain, n_clips = RoomyLayer(), DynamicLayer(), draw(1, 6)
        roomy.batch_select_indices(torch.arange(1))  # of nothing
        for _ in range(30):
            states = torch.randn(2, n_clips, 3, draw(1, ROOM_TOKENS), 4, generator=generator)
            for ours, theirs in zip(roomy.update(*states), plain.update(*states), strict=True):
                assert torch.equal(ours, theirs)
            if draw(0, 3) == 0:
                taken = draw(0, min(ROOM_TOKENS, plain.get_seq_length()))
                roomy.crop(-taken)
                plain.crop(-taken)
            if draw(0, 6) == 0:
                order = torch.randperm(n_clips, generator=generator)
                roomy.reorder_cache(order)
                plain.reorder_cache(order)
            if draw(0, 10) == 0 and n_clips < 6:
                n_clips *= 2
                roomy.batch_repeat_interleave(2)
                plain.batch_repeat_interleave(2)
            if draw(0, 4) == 0:
                staying = torch.randperm(n_clips, generator=generator)[: draw(1, n_clips + 1)]
                n_clips = len(staying)
                roomy.batch_select_indices(staying)
                plain.batch_select_indices(staying)
            assert roomy.get_seq_length() == plain.get_seq_length()
            assert torch.equal(roomy.keys, plain.keys)
            assert torch.equal(roomy.values, plain.values)


def test_a_token_copies_nothing_while_there_is_room():
    layer = RoomyLayer()
    layer.update(*torch.zeros(2, 1, 1, 10, 2))
    begins = layer.keys.data_ptr()
    for _ in range(ROOM_TOKENS):
        layer.update(*torch.zeros(2, 1, 1, 1, 2))
        assert layer.keys.data_ptr() == begins
    layer.update(*torch.zeros(2, 1, 1, 1, 2))
    assert layer.keys.data_ptr() != begins
