"""Takes secrets out of what the runtime itself prints and writes: tracebacks and problem documents.

The values that were injected are kept for as long as the process lives, out of reach of attributes. Each is searched
for in the forms in which an error usually shows it. The mask is the same whatever the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from qhub.commons.secret import REDACTED

__all__ = ["mask", "mask_document", "remember"]

# Shorter values are not searched for: they would take half of every text with them.
MIN_LENGTH = 4


def _registry() -> tuple[Callable[[str], None], Callable[[str], str]]:
    values: set[str] = set()
    forms: set[str] = set()

    def remember(value: str) -> None:
        """Has a value masked from now on."""
        values.add(value)

    def mask(text: str) -> str:
        """The text, every occurrence of every form of every remembered value replaced by the mask."""
        while values:
            forms.update(_forms(values.pop()))
        return _replace(text, _merge(sorted(_spans(text, forms))))

    return remember, mask


def _forms(value: str) -> Iterator[str]:
    lines = [line.strip() for line in value.splitlines()]
    for text in dict.fromkeys([value, *lines]):
        if len(text) >= MIN_LENGTH:
            yield from (form for form in _encodings(text) if len(form) >= MIN_LENGTH)


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
    # Base64 at the three places where a value may begin in what is encoded ("user:token"), without the characters at
    # its ends that its neighbours have a share in.
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


remember, mask = _registry()


def mask_document(value: Any) -> Any:
    """A JSON value, masked in its strings and keys."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(key) if isinstance(key, str) else key: mask_document(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_document(item) for item in value]
    return value
