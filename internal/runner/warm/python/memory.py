"""Keeps the memory of a template shared with its forks, which get a copy of each page that they write to.

Python writes to every object it looks at, to count the references to it. Python 3.12 and 3.13 count none to objects
that are immortal (PEP 683, which was made for this). What was imported mostly lives as long as the process, so those
things among it become immortal that do nothing when they go: code, types, names and constants.
"""

import ctypes
import gc
import sys
import types

CONSTANTS = (str, bytes, int, float, complex)
TYPES = (
    types.BuiltinFunctionType,
    types.CodeType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.ClassMethodDescriptorType,
    property,
    classmethod,
    staticmethod,
)
# The count of references that stands for none being counted, in the lower half of it.
UNCOUNTED = 0xFFFFFFFF
HUGE_PAGE = 2 << 20
MADV_COLLAPSE = 25


def make_immortal():
    """Makes what was imported immortal where this Python knows how to."""
    if sys.abiflags or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return  # counts lie elsewhere
    if ctypes.c_uint32.from_address(id(None)).value != UNCOUNTED:
        return
    seen, found = set(), gc.get_objects()
    while found:
        seen.update(map(id, found))
        for thing in filter(does_nothing_when_it_goes, found):
            ctypes.memset(id(thing), 0xFF, 4)
        found = list({id(thing): thing for thing in gc.get_referents(*found) if id(thing) not in seen}.values())


def does_nothing_when_it_goes(thing):
    """Whether it holds nothing that somebody may wait for the end of."""
    kind = type(thing)
    if kind is tuple or kind is frozenset:
        return all(type(item) in CONSTANTS or isinstance(item, type) for item in thing)
    if kind is types.FunctionType:
        return thing.__closure__ is None
    return kind in TYPES or kind in CONSTANTS or isinstance(thing, type)


def make_huge(libc):
    """Has the system keep the heap in huge pages where it can: a fork then is given one entry for 512 pages."""
    advise = libc.madvise
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        areas = [line.split() for line in maps]
    for span, access, _, _, _, *name in areas:
        if access == "rw-p" and (not name or name == ["[heap]"]):
            start, end = (int(address, 16) for address in span.split("-"))
            for page in range(-(-start // HUGE_PAGE) * HUGE_PAGE, end - HUGE_PAGE + 1, HUGE_PAGE):
                advise(ctypes.c_void_p(page), ctypes.c_size_t(HUGE_PAGE), MADV_COLLAPSE)
