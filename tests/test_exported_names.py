import importlib

import flexivideo


def test_every_public_name_resolves_and_says_what_it_is():
    for name in flexivideo.__all__:
        assert getattr(flexivideo, name).__doc__, name


def test_the_public_names_are_sorted_and_unknown_ones_are_refused():
    assert flexivideo.__all__ == sorted(flexivideo.__all__)
    assert not hasattr(flexivideo, "captions")


def test_each_module_exports_what_it_lists():
    for name in ("errors", "segmentation", "temporal_kernel", "virtual_frames", "visual_spec"):
        module = importlib.import_module(f"flexivideo.{name}")
        assert all(hasattr(module, exported) for exported in module.__all__)
