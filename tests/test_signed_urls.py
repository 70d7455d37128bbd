"""What names a web address for ever, and what only opens it today."""

import json
import pickle
from dataclasses import asdict, replace

import pytest
from decode_helpers import make_plan

from flexivideo.errors import SettingsError
from pipeline.decode_plan import DecodePlan
from pipeline.sealing import Seal, own_seal
from pipeline.signed_urls import shown, web_address
from pipeline.sources import Listing

SECRET = "5ecre7"

# How each of them signs, as its documents have it.
SIGNED = {
    "Amazon 4": "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20260101&X-Amz-Date=2026"
    f"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&x-amz-security-token={SECRET}"
    f"&X-Amz-Signature={SECRET}",
    "Amazon 2": f"AWSAccessKeyId=A&Signature={SECRET}%3D&Expires=1",
    "CloudFront, canned": f"Expires=1&Signature={SECRET}&Key-Pair-Id=K",
    "CloudFront, custom": f"Policy=ey{SECRET}&Signature={SECRET}~&Key-Pair-Id=K",
    "Google 4": f"X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b&X-Goog-Date=1"
    f"&X-Goog-Expires=60&X-Goog-SignedHeaders=host&X-Goog-Signature={SECRET}",
    "Google 2": f"GoogleAccessId=a%40b&Expires=1&Signature={SECRET}",
    "Azure": f"sv=2025-01-05&st=2026&se=2026&sr=b&sp=r&spr=https&sip=1&sig={SECRET}%2B",
    "Azure, of a user": f"skoid=1&sktid=2&skt=3&ske=4&sks=b&skv=5&sv=6&sr=b&sp=r&se=7&sig={SECRET}",
    "a token": f"token={SECRET}",
    "its name encoded": f"%58-Amz-%53ignature={SECRET}",
}


@pytest.mark.parametrize("query", SIGNED.values(), ids=SIGNED)
def test_what_signs_is_no_part_of_the_name_and_the_request_is_as_it_was_given(query):
    for given, name in (
        (f"?{query}", ""),
        (f"?versionId=v%20/1&{query}&x=", "?versionId=v%20/1&x="),
    ):
        url = f"https://host.example/a%20b/c.mp4{given}"
        address = web_address(url)
        assert address.uri == f"https://host.example/a%20b/c.mp4{name}"
        assert address.url == url
        assert web_address(address.uri) == (address.uri, None)
        assert SECRET not in shown(url)


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        (
            "https://host/a.mp4?id=7&expires=2&policy=x",
            "https://host/a.mp4?id=7&expires=2&policy=x",
        ),
        ("HTTPS://Host:443/A.mp4#t=3", "https://host/A.mp4"),
        ("https://host:8443", "https://host:8443/"),
        ("https://[::1]:80/a", "https://[::1]:80/a"),
        ("http://host:80/ä b?ö", "http://host/%C3%A4%20b?%C3%B6"),
        ("https://host/a%2Fb?x=%26", "https://host/a%2Fb?x=%26"),
    ],
)
def test_one_address_has_one_name(written, uri):
    assert web_address(written) == (uri, None)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("https://", "expected https://host/path"),
        ("https://[::1/a", "expected https://host/path"),
        ("https://host:x/a", "expected https://host/path"),
        (f"https://me:{SECRET}@host/a", "~/.netrc"),
        (f"https://host/a\n?sig={SECRET}", "control characters"),
        (f"ftp://me:{SECRET}@host/a?sig={SECRET}", "of no kind that is read"),
        (f"http://host/a?sig={SECRET}", "--plain-http"),
    ],
)
def test_what_cannot_be_asked_for_is_said_without_its_secrets(written, said, tmp_path):
    with pytest.raises(SettingsError, match=said) as seen:
        Listing([written])
    assert SECRET not in str(seen.value)
    (tmp_path / "m.csv").write_text(f'uri\na.mp4\n"{written}"\n')
    listing = Listing([], manifests=[str(tmp_path / "m.csv")])
    assert len(list(listing)) == 1
    (reason,) = listing.unusable
    assert SECRET not in reason


def test_a_plan_takes_its_seal_along_and_shows_it_to_nobody():
    """Ray writes the settings of a stage down, as text and field by field."""
    plan, key = make_plan(), own_seal().key
    assert DecodePlan.from_json(plan.to_json()) == plan
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert key not in repr(plan) + json.dumps(asdict(plan), default=str)
    assert replace(plan, seal=Seal("another")) != plan


def test_a_seal_opens_what_it_closed_and_nothing_else():
    sealed = own_seal().close(SECRET)
    assert SECRET not in sealed
    assert own_seal().open(sealed) == SECRET
    with pytest.raises(ValueError, match="list its source anew"):
        Seal("A" * 43 + "=").open(sealed)
