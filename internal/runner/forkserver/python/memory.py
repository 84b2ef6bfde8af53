"""Keeps the memory of a zygote shared with its forks, which get a copy of each page that they write to.

Python writes to every object that it uses, to count the references to it. Python 3.12 and 3.13 do not count those of
immortal objects (PEP 683, which was made for this). Imported objects mostly live as long as the process. So those among
them become immortal that do nothing when they go: code, types, names and constants.
"""

import array
import contextlib
import ctypes
import gc
import importlib.machinery
import itertools
import os
import sys
import threading
import types

CONSTANTS = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
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
    importlib.machinery.ModuleSpec,
)
# The lower half of the count of references of an object that is not counted.
UNCOUNTED = 0xFFFFFFFF
HUGE_PAGE = 2 << 20
MADV_COLLAPSE = 25
MADV_POPULATE_WRITE = 23
PAGE = os.sysconf("SC_PAGE_SIZE")
# An entry of /proc/self/pagemap has both of these bits if the page is there, and no other process has it.
OWN = 1 << 63 | 1 << 56

advise = ctypes.PyDLL(None).madvise
advise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


def make_immortal():
    """Makes imported objects immortal, if this Python can."""
    if sys.abiflags or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return  # counts lie elsewhere
    if ctypes.c_uint32.from_address(id(None)).value != UNCOUNTED:
        return
    for thing in lasting():
        ctypes.memset(id(thing), 0xFF, 4)
    seen, found = set(), gc.get_objects()
    while found:
        seen.update(map(id, found))
        for thing in filter(does_nothing_when_it_goes, found):
            ctypes.memset(id(thing), 0xFF, 4)
        found = list({id(thing): thing for thing in referents(found) if id(thing) not in seen}.values())


def lasting():
    """The objects that end with the process, and those that end with a module, which is immortal itself."""
    yield from (sys.modules, os.environ, os.environ._data, threading.main_thread())
    for module in list(sys.modules.values()):
        if type(module) is types.ModuleType:
            yield module.__dict__


def referents(things):
    """The objects they refer to, and those of the code among them, which the collector does not know."""
    yield from gc.get_referents(*things)
    for thing in things:
        if type(thing) is types.CodeType:
            yield from (thing.co_consts, thing.co_names)


def does_nothing_when_it_goes(thing, depth=4):
    """Whether it holds nothing that somebody may wait for the end of."""
    kind = type(thing)
    if kind is tuple or kind is frozenset:
        return depth > 0 and all(does_nothing_when_it_goes(item, depth - 1) for item in thing)
    if kind is types.FunctionType:
        return thing.__closure__ is None or thing.__code__.co_freevars == ("__class__",)
    return kind in TYPES or kind in CONSTANTS or isinstance(thing, type)


def own_areas():
    """Where memory of the process's own lies that it may write to: start, end and name."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        areas = [line.split(maxsplit=5) for line in maps]
    for span, access, _, _, _, *name in areas:
        if access == "rw-p":
            start, end = (int(address, 16) for address in span.split("-"))
            yield start, end, name[0].strip() if name else ""


def make_huge():
    """Has the system keep the heap in huge pages where it can: a fork then is given one entry for 512 pages."""
    for start, end, name in list(own_areas()):
        if name in ("", "[heap]"):
            for page in range(-(-start // HUGE_PAGE) * HUGE_PAGE, end - HUGE_PAGE + 1, HUGE_PAGE):
                advise(page, HUGE_PAGE, MADV_COLLAPSE)


class Ahead:
    """The pages that forks will write to: one that has no order yet can have its copies of them made meanwhile."""

    def __init__(self, fork, warmup):
        """Finds them out by a fork that goes through a warmup; without one, there are none."""
        pages = []
        if warmup is not None:
            with contextlib.suppress(OSError):  # the system does not tell
                warmup.send()
                pages = written(fork, warmup.run)
        self.starts, self.lengths = spans(pages)

    def copy(self):
        """In a fork. An old system copies each when it is written to."""
        for _ in map(advise, self.starts, self.lengths, itertools.repeat(MADV_POPULATE_WRITE)):
            pass


def written(fork, do):
    """The addresses of the pages that a fork has copies of once it has done something."""
    areas = list(own_areas())
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            do()
            # All is read before any of it is looked at, which copies pages itself.
            texts = [os.pread(pagemap, (end - start) // PAGE * 8, start // PAGE * 8) for start, end, _ in areas]
            with open(writer, "wb") as file:
                for (start, _, _), text in zip(areas, texts, strict=True):
                    own = [start + i * PAGE for i, entry in enumerate(array.array("Q", text)) if entry & OWN == OWN]
                    array.array("Q", own).tofile(file)
        finally:
            os._exit(0)
    os.close(writer)
    os.close(pagemap)
    with open(reader, "rb") as file:
        pages = array.array("Q", file.read())
    with contextlib.suppress(ChildProcessError):  # the service has asked for its children not to be waited for
        os.waitpid(pid, 0)
    return pages


def spans(pages):
    """Pages that lie side by side as one: starts, and lengths."""
    starts, lengths = [], []
    for page in pages:
        if starts and page == starts[-1] + lengths[-1]:
            lengths[-1] += PAGE
        else:
            starts.append(page)
            lengths.append(PAGE)
    return starts, lengths
