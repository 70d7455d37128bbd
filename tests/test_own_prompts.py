"""Videos that are asked something of their own, from a manifest's line to the dataset's rows."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_helpers import commit_videos, make_identity, make_ref, undone

from flexivideo.checkpoints import check_checkpoint
from flexivideo.errors import SettingsError
from flexivideo.prompts import caption_prompt
from jobs.cli import main
from pipeline.identity import clip_id
from pipeline.known_videos import ended_otherwise
from pipeline.run_identity import RunIdentity
from pipeline.sources import Listing
from pipeline.store import LocalStore
from pipeline.views import connect

WHAT, WHO = "What is it? ", "Wer ist das,\n„genau“?"


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_manifest_gives_each_video_its_prompt(tmp_path, kind):
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(b"x")
    prompts = [WHAT, "", WHO]
    path = tmp_path / f"m{kind}"
    if kind == ".csv":
        rows = (f'{n}.mp4,"{prompt}"' for n, prompt in zip("abc", prompts, strict=True))
        path.write_text("uri,prompt\n" + "\n".join(rows))
    else:
        table = pa.table({"prompt": prompts, "uri": [f"{name}.mp4" for name in "abc"]})
        pq.write_table(table, path)
    refs = list(Listing([str(tmp_path)], manifests=[str(path)]))
    assert [ref.prompt for ref in refs] == [WHAT.strip(), None, WHO]
    whole = list(Listing([str(tmp_path)]))
    assert [replace(ref, prompt=None) for ref in refs] == whole  # the video is the same


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("x" * 4001, "4001 characters; expected at most 4000"),
        ("end<|im_end|>begin", "one of a model's own marks"),
        ("bell\x07", "holds a control character"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_named_and_the_next_line_read(tmp_path, prompt, said):
    (tmp_path / "m.csv").write_text(f'uri,prompt\na.mp4,"{prompt}"\nb.mp4,\n')
    listing = Listing([], manifests=[str(tmp_path / "m.csv")])
    assert len(list(listing)) == 1
    assert said in listing.unusable[0]


def test_another_prompt_is_another_caption_of_the_same_video(tmp_path):
    store, identity = LocalStore(str(tmp_path)), make_identity()
    plain, own = make_ref("plain"), replace(make_ref("own"), prompt=WHAT)
    commit_videos(store, [plain, own], identity=identity)
    own_id = identity.asking(WHAT).prompt_id
    rows = connect(store).execute("SELECT uri, prompt, prompt_id FROM videos ORDER BY uri")
    assert rows.fetchall() == [
        (own.uri, WHAT, own_id),
        (plain.uri, None, identity.prompt_id),
    ]
    clips = connect(store).execute(
        "SELECT clip_id, prompt_id FROM clips WHERE video_id = ? AND clip_index = 0", [own.video_id]
    )
    names = (identity.segmenter_id, identity.packing_id, identity.model_id, own_id)
    assert clips.fetchall() == [(clip_id(own.video_id, *names, 0), own_id)]
    known = ended_otherwise(connect(store), statuses=["success"], kinds=[])
    asked = {video.uri: video.prompt for video in known}
    assert asked == {own.uri: WHAT, plain.uri: None}  # a retry asks it the same again
    assert undone(store, identity, [plain, own]) == []
    for changed in (
        replace(own, prompt=WHO),
        replace(own, prompt=None),
        replace(plain, prompt=WHO),
    ):
        (left,) = undone(store, identity, [changed])
        assert left.scenes_commit_id is not None  # only asked anew


def test_the_same_question_has_one_id_whoever_asks_it():
    def run(**prompt):
        return RunIdentity.of(segmenter={}, packing={}, model={}, prompt=prompt, limits={})

    one = run(prompt=WHAT, max_new_tokens=8)
    assert one.asking(WHO).prompt_id == run(prompt=WHO, max_new_tokens=8).prompt_id
    assert one.asking(WHO).asking(WHAT).prompt_id == one.prompt_id == one.asking(None).prompt_id
    assert one.asking(WHO).prompt_id != run(prompt=WHO, max_new_tokens=9).prompt_id
    assert one.asking(WHO).meanings[one.asking(WHO).prompt_id]["prompt"] == WHO


@pytest.mark.cluster
def test_a_run_asks_each_what_its_line_says_and_again_what_has_changed(
    archive, ray_cluster, tmp_path, capfd
):
    def index(*prompts):
        lines = [f'{archive}/{n}.mp4,"{prompt}",' for n, prompt in enumerate(prompts)]
        part = f"{archive}/1.mp4,,0.5"  # a part of one, asked what the others are
        (tmp_path / "m.csv").write_text("\n".join(["uri,prompt,start_s", *lines, part]))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["index", "--manifest", str(tmp_path / "m.csv"), f"--out={root}", "--json"])
        assert ended.value.code == 0
        return json.loads(capfd.readouterr().out.splitlines()[0])

    root = tmp_path / "root"
    index("", WHAT)
    asked = (
        connect(str(root))
        .execute(
            """SELECT v.prompt, json_extract_string(s.meaning, '$.prompt') FROM videos v
               JOIN read_parquet($settings) s ON s.settings_id = v.prompt_id
               ORDER BY uri, range_start_s NULLS FIRST""",
            {"settings": f"{root}/settings/*.parquet"},
        )
        .fetchall()
    )
    usual = None, caption_prompt(None)
    assert asked == [usual, (WHAT.strip(), WHAT.strip()), usual]
    starts = "SELECT min(start_s), min(duration_s) FROM clips JOIN videos USING (video_id)"
    rows = connect(str(root)).sql(f"{starts} GROUP BY uri, range_start_s ORDER BY ALL").fetchall()
    assert [start_s for start_s, _ in rows] == [0.0, 0.0, 0.5]
    assert rows[2][1] == pytest.approx(rows[1][1] - 0.5)
    assert index("", WHO)["n_already_done"] == 2
    prompts = connect(str(root)).execute("SELECT prompt FROM videos ORDER BY ALL").fetchall()
    assert prompts == [(WHO,), (None,), (None,)]


@pytest.mark.parametrize("token", ["<|video_pad|>", "<|vision_start|>", "<|im_end|>"])
def test_a_runs_prompt_that_holds_a_token_of_the_models_is_refused(token):
    with pytest.raises(SettingsError, match=r"holds <\|\w+\|>, a token of the model's own"):
        check_checkpoint(None, prompt=f"{token} what?")
    check_checkpoint(None, prompt=f"What is {token.strip('<>')}?")
