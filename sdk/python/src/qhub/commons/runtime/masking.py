"""Takes secrets out of what the runtime itself prints and writes: tracebacks and problem documents.

The values that were injected are kept for as long as the process lives, where no attribute leads to them (see
`qhub.commons.secret`). Each is searched for in the forms in which an error usually shows it. The mask is the same
for every length.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

from qhub.commons.secret import REDACTED, seal, unseal

__all__ = ["mask", "mask_document", "remember"]

# Shorter values are not searched for: that would mask half of every text.
MIN_LENGTH = 4
# Shorter values are masked as whole words, and in no other form.
STRONG_LENGTH = 8

# A buffer of C, which has methods and no attributes: of each value its length, a pad, and the two combined.
_kept = io.BytesIO()


def remember(value: str) -> None:
    """Has a value masked from now on."""
    if len(value) < MIN_LENGTH:
        return
    pad, combined = seal(value)
    _kept.write(len(pad).to_bytes(4, "little") + pad + combined)


def _values() -> Iterator[str]:
    kept, at = _kept.getvalue(), 0
    while at < len(kept):
        length, at = int.from_bytes(kept[at : at + 4], "little"), at + 4
        yield unseal(kept[at : at + length], kept[at + length : at + 2 * length])
        at += 2 * length


def mask(text: str) -> str:
    """The text, every occurrence of every form of every remembered value replaced by the mask."""
    return _masker()(text)


def _masker() -> Callable[[str], str]:
    """A function that masks as `mask` does, for many texts. It is not kept: it holds the values."""
    forms, words = set[str](), set[str]()
    for value in _values():
        for text in {value, *(line.strip() for line in value.splitlines())}:
            if len(text) >= STRONG_LENGTH:
                forms.update(form for form in _encodings(text) if len(form) >= MIN_LENGTH)
            elif len(text) >= MIN_LENGTH:
                words.add(text)
    return lambda text: _replace(text, _merge(sorted([*_spans(text, forms), *_word_spans(text, words)])))


def _encodings(text: str) -> Iterator[str]:
    # Imported here, as most services do not fail.
    import base64
    import json
    from urllib.parse import quote, quote_plus

    raw = text.encode("utf-8", "surrogateescape")
    yield text
    yield repr(text)[1:-1]
    yield repr(raw)[2:-1]
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    yield quote(raw, safe="")
    yield quote(raw)
    yield quote_plus(raw)
    yield raw.hex()
    # Base64 at the three places where a value may begin in the encoded text ("user:token"), without the characters at
    # its ends that depend on its neighbours.
    for shift, start in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        end = (shift + len(raw)) * 8 // 6
        yield encoded[start:end]
        yield encoded[start:end].translate(str.maketrans("+/", "-_"))


def _spans(text: str, forms: set[str]) -> Iterator[tuple[int, int]]:
    for form in forms:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + 1)


def _word_spans(text: str, words: set[str]) -> Iterator[tuple[int, int]]:
    for start, end in _spans(text, words):
        if not (_continues(text[start - 1 : start], text[start]) or _continues(text[end - 1], text[end : end + 1])):
            yield start, end


def _continues(before: str, after: str) -> bool:
    """Whether a word goes on from one character to the next."""
    return all(c.isalnum() or c == "_" for c in (before, after)) if before and after else False


def _merge(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    start = end = -1
    for left, right in spans:
        if left > end:
            if end >= 0:
                yield start, end
            start, end = left, right
        else:
            end = max(end, right)
    if end >= 0:
        yield start, end


def _replace(text: str, spans: Iterator[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], REDACTED]
        done = end
    return "".join([*parts, text[done:]])


def mask_document(value: Any) -> Any:
    """A JSON value, masked in its strings and keys."""
    return _mask_document(value, _masker())


def _mask_document(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key) if isinstance(key, str) else key: _mask_document(item, mask) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mask_document(item, mask) for item in value]
    return value
