"""What two forks of one zygote must not share: the state of random generators that the system has seeded.

`os.urandom`, `secrets`, `uuid4` and ssl ask the system, and a new `numpy.random.default_rng()` too. A generator that
exists already is given another state in each fork: the global ones of `random`, `numpy.random`, SQLite and torch, and
those that modules have made for themselves at import, wherever they keep them. Those that the service has seeded itself
keep their state: every run begins with that seed, as it would cold. Where the origin of a seed is not known, a service
starts cold. `hash()` of strings, and values that were drawn at import, are the same in all forks of a zygote.
"""

import _random
import array
import ctypes
import gc
import os
import random
import sys
import types
import weakref

STATE_WORDS = 624
SIMPLE = {str, bytes, int, float, complex, bool, type(None), types.CodeType}


class Watch:
    """Notices how generators are seeded while a service is imported."""

    def __init__(self, beside):
        """Beside gives the module of a name that lies beside this file."""
        self.beside, self.reason, self._originals = beside, None, []
        self.watched = [PythonGenerators(self._replace)]
        self._finder = Finder(
            {
                "numpy.random": self.follow_numpy,
                "torch": self.follow_torch,
                "uuid": self.follow_uuid,
                "multiprocessing.process": lambda module: self.watched.append(AuthenticationKey(module)),
                "_sqlite3": lambda module: self.watched.append(Sqlite(module)),
            }
        )
        self._finder.start()

    def _replace(self, owner, name, function):
        original = getattr(owner, name)
        function.__name__, function.__qualname__, function.__doc__ = (
            name,
            original.__qualname__,
            original.__doc__,
        )
        self._originals.append((owner, name, original))
        setattr(owner, name, function)

    def _restore(self):
        for owner, function, original in reversed(self._originals):
            setattr(owner, function, original)
        self._originals.clear()

    def follow_numpy(self, _):
        python = self.watched[0]
        self.watched.append(self.beside("numpygenerators").NumpyGenerators(python, self._replace))

    def follow_torch(self, module):
        self.watched.append(TorchGenerator(module, self._replace))

    def follow_uuid(self, module):
        self.watched.append(Clock(module, self._replace))

    def stop(self):
        """Puts everything back. The service is imported."""
        self._finder.stop()
        self._restore()
        gc.unfreeze()  # the collector does not show what a service has frozen
        python, *_ = self.watched
        things = python.all_objects()
        self.renewed = [generators for generators in self.watched if generators.find(things)]
        self.reason = next(
            (generators.reason for generators in self.watched if generators.reason),
            None,
        )

    def renew(self):
        """In a fork: gives each generator another state."""
        for generators in self.renewed:
            generators.renew()


class PythonGenerators:
    """Objects of random.Random, the global one among them.

    The class in C is watched, which all others use. A state that a generator hands out stays known, so an object that
    takes it over is seeded by whoever has seeded the first one.
    """

    def __init__(self, replace):
        self.reason, self.groups = None, []
        self.references = {}  # by identity: a weak reference to the object, and whether the system has seeded it
        self.drawn, self.given = (
            set(),
            set(),
        )  # states of generators that the system has seeded, and of others
        self.note(random._inst, True)
        self.seed, self.getstate, self.setstate = (getattr(_random.Random, n) for n in ("seed", "getstate", "setstate"))
        self.uses = sys.getrefcount(_random.Random)
        self.follow(replace)

    def follow(self, replace):
        def seed(generator, *args):
            self.seed(generator, *args)
            self.note(generator, not args or args[0] is None)

        def getstate(generator):
            state, drawn = self.getstate(generator), self.is_drawn(generator)
            if drawn is not None:
                (self.drawn if drawn else self.given).add(key_of(state))
            return state

        def setstate(generator, state):
            self.setstate(generator, state)
            key = key_of(state)
            self.note(
                generator,
                True if key in self.drawn else False if key in self.given else None,
            )

        replace(_random.Random, "seed", seed)
        replace(_random.Random, "getstate", getstate)
        replace(_random.Random, "setstate", setstate)

    def note(self, generator, drawn):
        try:
            reference = weakref.ref(generator)
        except TypeError:  # one of the class in C has none

            def reference():
                return generator

        self.references[id(generator)] = reference, drawn

    def is_drawn(self, generator):
        """Whether the system has seeded it; None if that is not known."""
        reference, drawn = self.references.get(id(generator), (lambda: None, None))
        return drawn if reference() is generator else None

    def all_objects(self):
        """What the collector knows, and where it may not know all of the generators, what that refers to."""
        used = sys.getrefcount(_random.Random) != self.uses  # by an object, or a class that was derived from it
        return reachable(gc.get_objects()) if used else gc.get_objects()

    def find(self, things):
        """Notes which have the same state, so that they have the same in each fork as well. False if there is none."""
        kinds = {kind for kind in set(map(type, things)) if issubclass(kind, _random.Random)}
        kinds = {kind for kind in kinds if not issubclass(kind, random.SystemRandom)}
        groups = {}
        for generator in [thing for thing in things if type(thing) in kinds] if kinds else ():
            drawn = self.is_drawn(generator)
            if drawn is None:
                self.reason = "leaves a random generator of which it is not known whether it was seeded"
            if drawn:
                groups.setdefault(self.getstate(generator), []).append(self.references[id(generator)][0])
        self.groups = list(groups.values())
        self.references = None
        return bool(self.groups)

    def renew(self):
        for group in self.groups:
            state = None
            for generator in filter(None, (reference() for reference in group)):
                if state is None:
                    self.seed(generator)
                    state = self.getstate(generator) if len(group) > 1 else ()
                else:
                    self.setstate(generator, state)
                if isinstance(generator, random.Random):
                    generator.gauss_next = None  # a number that was drawn ahead


def key_of(state):
    """What of a state its seed decides, as numpy has it too: the words, without the position among them."""
    return array.array("I", state[:STATE_WORDS]).tobytes()


def reachable(things):
    """All that the collector knows, and what that refers to and it does not know."""
    hidden, found = {}, things
    while found:
        referents = [t for t in gc.get_referents(*found) if type(t) not in SIMPLE and not gc.is_tracked(t)]
        found = list({id(thing): thing for thing in referents if id(thing) not in hidden}.values())
        hidden.update((id(thing), thing) for thing in found)
    return things + list(hidden.values())


class TorchGenerator:
    """The default generator of torch."""

    reason = None

    def __init__(self, module, replace):
        self.module, self.drawn = module, {module.initial_seed()}
        seed = module.seed

        def noting():
            self.drawn.add(value := seed())
            return value

        replace(module, "seed", noting)

    def find(self, _):
        return self.module.initial_seed() in self.drawn

    def renew(self):
        self.module.default_generator.seed()


class Clock:
    """What uuid keeps between two values made of the time."""

    reason = None

    def __init__(self, module, replace):
        self.module, self.used = module, False
        for name in ("uuid1", "getnode"):
            replace(module, name, self.noting(getattr(module, name)))

    def noting(self, function):
        def uuid(*args, **kwargs):
            self.used = True
            return function(*args, **kwargs)

        return uuid

    def find(self, _):
        """Whether it was used. The address of the machine stays, one that was drawn does not."""
        if not self.used:
            return False
        node = self.module.uuid1().node
        self.node = None if node >> 40 & 1 else node
        self.kept = [name for name in vars(self.module) if name.startswith("_last_")]
        return True

    def renew(self):
        module = self.module
        # The library of the system has its clock and its sequence in memory that all forks have.
        module._generate_time_safe = None
        module._node = self.node if self.node is not None else random.getrandbits(48) | 1 << 40
        for name in self.kept:
            setattr(module, name, None)


class AuthenticationKey:
    """The key that multiprocessing draws when it is imported, unless the service has set another one."""

    reason = None

    def __init__(self, module):
        self.module, self.drawn = module, module.current_process().authkey

    def find(self, things):
        """Finds the holders of the key: the current process, and others and managers that have not been started."""
        managers = sys.modules.get("multiprocessing.managers")
        wanted = self.module.BaseProcess, *([managers.BaseManager] if managers else [])
        kinds = {kind for kind in set(map(type, things)) if issubclass(kind, wanted)}
        holders = [thing for thing in things if type(thing) in kinds]
        self.configs = [thing._config for thing in holders if isinstance(thing, wanted[0])]
        self.configs = [config for config in self.configs if config.get("authkey") == self.drawn]
        self.managers = [thing for thing in holders if getattr(thing, "_authkey", None) == self.drawn]
        return bool(self.configs or self.managers)

    def renew(self):
        key = self.module.AuthenticationString(os.urandom(32))
        for config in self.configs:
            config["authkey"] = key
        for manager in self.managers:
            manager._authkey = key


class Sqlite:
    """The generator of SQLite, of which a process has one for all connections."""

    reason = None

    def __init__(self, module):
        self.module = module

    def find(self, _):
        """Has it ask the system for a seed when it next draws, which only forks do. False if that is all."""
        reset = getattr(ctypes.CDLL(getattr(self.module, "__file__", None)), "sqlite3_randomness", None)
        if reset is not None:
            reset(0, None)
        return reset is None

    def renew(self):
        """Has it do so where its function has no name: it does whenever a process first opens a file."""
        self.module.connect("file:/dev/null?mode=ro", uri=True).close()


class Finder:
    """Calls a function for each of some modules when it has been imported."""

    def __init__(self, wanted):
        self.wanted = wanted

    def start(self):
        for name in [name for name in self.wanted if name in sys.modules]:
            self.wanted.pop(name)(sys.modules[name])
        sys.meta_path.insert(0, self)

    def stop(self):
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name, path=None, target=None):
        if name not in self.wanted:
            return None
        import importlib.util

        follow = self.wanted.pop(name)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_follow(module):
            execute(module)
            follow(module)

        spec.loader.exec_module = execute_and_follow
        return spec
