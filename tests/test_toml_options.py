import pytest

from flexivideo.errors import SettingsError
from jobs.cli import app
from jobs.toml_options import toml_options


@pytest.fixture
def parse(tmp_path):
    def parse(toml, *flags):
        file = tmp_path / "options.toml"
        file.write_text(toml)
        command = ["index", "a.mp4", "--out", "root", "--config", str(file), *flags]
        _, bound, _ = app.parse_args(command, exit_on_error=False, print_error=False)
        return vars(bound.arguments["settings"])

    return parse


def test_options_stand_at_the_top_or_in_tables_with_dashes_or_underscores(parse):
    arguments = parse("clip-s = 20\n[segmentation]\nsample_fps = 4\ntau = 0.3\n")
    assert arguments["packing"].clip_s == 20
    assert arguments["segmentation"].sample_fps == 4
    assert arguments["segmentation"].tau == 0.3


def test_flags_win_over_the_file(parse):
    arguments = parse("[segmentation]\nsample_fps = 4\ntau = 0.3\n", "--tau", "0.9")
    assert arguments["segmentation"].tau == 0.9
    assert arguments["segmentation"].sample_fps == 4


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("tua = 1", "tua"),
        ("tau = [", "TOML"),
        ("tau = 1\n[a]\ntau = 2", "twice"),
        ("tau = 'x'", "x"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(parse, toml, named):
    with pytest.raises(Exception, match=named):
        parse(toml)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.toml"):
        app.parse_args(
            ["index", "a", "--out", "r", "--config", str(tmp_path / "none.toml")],
            exit_on_error=False,
            print_error=False,
        )


def test_the_command_line_reads_the_file_by_this_module():
    assert app.config == (toml_options,)
