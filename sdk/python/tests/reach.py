"""Searches what a secret leads to for its value. test_reach.py runs it in a separate process.

The value is in SECRET_API_TOKEN until the runtime takes it. This program knows it as bytes in reverse order, so that it
does not find its own copy. It prints how many objects it has seen and, a line each, where the value stands.
"""

import collections
import gc
import sys
import types

from qhub.commons.parameters import create_secret_instance
from qhub.commons.runtime.masking import mask

LIMIT = 200_000

# Where functions and the like lead to. All their other attributes are methods, which lead back to them.
NAMES = {
    types.FunctionType: ("__globals__", "__closure__", "__defaults__", "__kwdefaults__", "__code__", "__dict__"),
    types.CodeType: ("co_consts",),
    types.MethodType: ("__func__", "__self__"),
    types.BuiltinMethodType: ("__self__",),
    types.MethodWrapperType: ("__self__",),
    types.WrapperDescriptorType: ("__objclass__",),
    types.MethodDescriptorType: ("__objclass__",),
    types.ClassMethodDescriptorType: ("__objclass__",),
    types.GetSetDescriptorType: ("__objclass__",),
    types.MemberDescriptorType: ("__objclass__",),
}


def by_attribute(start, turned):
    """Follows attributes and items, as a format string can, and looks at what each object shows of itself."""
    waiting, seen, kept = collections.deque([("", start)]), set(), []
    while waiting and len(seen) < LIMIT:
        path, value = waiting.popleft()
        if id(value) in seen or isinstance(value, (int, float, complex, bool, type(None), type(...))):
            continue
        seen.add(id(value))
        kept.append(value)  # or its id would be used again
        if isinstance(value, (str, bytes, bytearray)):
            if shows(value, turned):
                yield path
            continue
        if isinstance(value, dict):
            waiting += [(f"{path}[{key!r:.40}]", item) for key, item in list(value.items())]
            waiting += [(f"{path} key", key) for key in list(value)]
        elif isinstance(value, (list, tuple, set, frozenset)):
            waiting += [(f"{path}[{i}]", item) for i, item in enumerate(list(value))]
        else:
            try:
                if shows(repr(value), turned):
                    yield f"repr({path})"
            except Exception:
                pass
        for name in NAMES.get(type(value)) or dir(value):
            try:
                waiting.append((f"{path}.{name}", getattr(value, name)))
            except BaseException:
                continue
    yield f"seen {len(seen)}"


def by_collector(start, turned):
    """Follows references of the interpreter, as tools that measure and draw objects do."""
    waiting, seen = [start], {}
    while waiting:
        value = waiting.pop()
        if id(value) in seen or value is seen or value is waiting:
            continue
        seen[id(value)] = value
        if isinstance(value, (str, bytes)) and shows(value, turned):
            yield "by collector"
        waiting += gc.get_referents(value)
    yield f"seen {len(seen)}"


def shows(text, turned):
    if isinstance(text, str):
        text = text.encode("utf-8", "replace")
    return turned in bytes(text)[::-1]


def main():
    turned = sys.stdin.buffer.read()
    secret = create_secret_instance("api_token")
    mask("a text that is masked")
    # All modules can be reached. Those that have to do with secrets come first.
    starts = [secret, sys.modules["qhub.commons.runtime.masking"].__dict__, sys.modules["qhub.commons.secret"].__dict__]
    found = [line for start in starts for line in by_attribute(start, turned)]
    found += by_collector(secret, turned)
    print("\n".join(found))


if __name__ == "__main__":
    main()
