"""The runtime's output about a failure holds no form of a secret."""

import base64
import json
import random
import re
import urllib.parse

import pytest
from qhub.commons.runtime.masking import mask, mask_document, remember

VALUE = 'käse-"4711"\\+/&?x'
KEY = "-----BEGIN KEY-----\nMIIBVwIBADANBg\n  indented-line\n-----END KEY-----\n"

FORMS = {
    "plain": str,
    "repr": lambda v: repr([v]),
    "bytes": lambda v: repr(v.encode()),
    "json": json.dumps,
    "json, as it is": lambda v: json.dumps(v, ensure_ascii=False),
    "percent": lambda v: urllib.parse.quote(v, safe=""),
    "query": lambda v: urllib.parse.urlencode({"token": v}),
    "hex": lambda v: v.encode().hex(),
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 url": lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
    **{f"basic {n}": lambda v, n=n: base64.b64encode(b"u" * n + v.encode() + b"!").decode() for n in range(1, 7)},
}


@pytest.fixture(autouse=True, scope="module")
def remembered():
    for value in (VALUE, KEY, "abcdefgh", "efghijkl", "ok!"):
        remember(value)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked(form):
    masked = mask(f"before {FORMS[form](VALUE)} after")
    assert masked.startswith("before ") and masked.endswith(" after")
    assert "[redacted]" in masked
    for part in (VALUE, "4711", FORMS[form](VALUE)[4:-4]):
        assert part not in masked


def test_lines_of_a_secret_are_masked():
    for line in KEY.splitlines():
        assert mask(f">{line.strip()}<") == ">[redacted]<"
    assert mask("indented-line") == "[redacted]"


def test_overlapping_secrets_are_masked_whole():
    assert mask("xabcdefghijklx abcdefghabcdefgh") == "x[redacted]x [redacted]"


def test_short_values_are_left():
    assert mask("it is ok! really") == "it is ok! really"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("debug is on", "[redacted] is on"),
        ("log.debug(1)", "log.[redacted](1)"),
        ("debugging, redebug, debug_2, debug7", "debugging, redebug, debug_2, debug7"),
        ("debug debug", "[redacted] [redacted]"),
        ("ZGVidWc=", "ZGVidWc="),
    ],
)
def test_weak_values_are_masked_as_words(text, masked):
    remember("debug")
    assert mask(text) == masked


def test_the_rest_is_untouched():
    draw = random.Random(4711)
    for _ in range(200):
        text = "".join(draw.choices([*"adg -=[]\n", "abcdefgh", "efghijkl", "abcdefghijkl"], k=40))
        masked = mask(text)
        assert "abcdefgh" not in masked and "efghijkl" not in masked
        assert masked == re.sub("(?:abcdefghijkl|abcdefgh|efghijkl)+", "[redacted]", text)


def test_documents_are_masked_in_keys_and_values():
    document = {"detail": VALUE, VALUE: [1, None, {"k": (VALUE,)}]}
    assert mask_document(document) == {"detail": "[redacted]", "[redacted]": [1, None, {"k": ["[redacted]"]}]}
