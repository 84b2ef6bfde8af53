"""What two forks of one zygote must not share: the state of random generators that the system has seeded.

`os.urandom`, `secrets`, `uuid4` and ssl ask the system, and a new `numpy.random.default_rng()` too. A generator that
exists already is given another state in each fork: the global ones of `random`, `numpy.random` and torch, and those
that modules have made for themselves at import, wherever they keep them. Those that the service has seeded itself keep
their state: every run begins with that seed, as it would cold. `hash()` of strings, and values that were drawn at
import, are the same in all forks of a zygote.
"""

import gc
import os
import random
import sys
import weakref

GLOBAL_FUNCTIONS = {"random": ("seed", "setstate"), "numpy.random": ("seed", "set_state", "set_bit_generator")}


class Watch:
    """Notices how generators are seeded while a service is imported."""

    def __init__(self):
        self.seeded = set()  # global generators that the service has seeded
        self.python, self.numpy, self.torch, self.uuid = PythonGenerators(self.seeded), None, None, None
        self._originals = []
        self._follow("random", random)
        self.python.follow(self._replace)
        self._finder = Finder({"numpy.random": self.follow_numpy, "torch": self.follow_torch, "uuid": self.follow_uuid})
        self._finder.start()

    def _replace(self, owner, name, function):
        original = getattr(owner, name)
        function.__name__, function.__qualname__, function.__doc__ = name, original.__qualname__, original.__doc__
        self._originals.append((owner, name, original))
        setattr(owner, name, function)

    def _follow(self, name, module):
        for function in GLOBAL_FUNCTIONS[name]:
            original = getattr(module, function, None)
            if original is not None:  # an old numpy has no other generators
                self._replace(module, function, self._noting(name, function, original))

    def _noting(self, name, function, original):
        def seed(*args, **kwargs):
            # seed() and seed(None) ask the system for a seed: that is no seed of the service's.
            if function != "seed" or any(a is not None for a in (*args, *kwargs.values())):
                self.seeded.add(name)
            else:
                self.seeded.discard(name)
            return original(*args, **kwargs)

        return seed

    def follow_numpy(self, module):
        self._follow("numpy.random", module)
        self.numpy = NumpyGenerators(self._replace)

    def follow_torch(self, module):
        self.torch = TorchGenerator(module, self._replace)

    def follow_uuid(self, module):
        self.uuid = Clock(module, self._replace)

    def stop(self):
        """Puts everything back. The service is imported."""
        self._finder.stop()
        for owner, function, original in reversed(self._originals):
            setattr(owner, function, original)
        watched = (self.python, self.numpy, self.torch, self.uuid)
        self.renewed = [generators for generators in watched if generators is not None and generators.find()]

    def renew(self):
        """In a fork: gives each generator another state."""
        if "random" not in self.seeded:
            random.seed()
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None and "numpy.random" not in self.seeded:
            words = os.urandom(32)
            numpy_random.seed([int.from_bytes(words[i : i + 4], "little") for i in range(0, 32, 4)])
        for generators in self.renewed:
            generators.renew()


class PythonGenerators:
    """Objects of random.Random without a seed. Of the global one is only noted whether it has one."""

    def __init__(self, seeded):
        self.seeded, self.unseeded, self.groups = seeded, {}, []
        self.seed_of, self.set_state_of = random.Random.seed, random.Random.setstate

    def follow(self, replace):
        def seed(generator, a=None, version=2):
            self.note(generator, a is None)
            return self.seed_of(generator, a, version)

        def setstate(generator, state):
            # A copy of one without a seed has none either.
            self.note(generator, any(state == other.getstate() for other in self.living()))
            return self.set_state_of(generator, state)

        replace(random.Random, "seed", seed)
        replace(random.Random, "setstate", setstate)

    def note(self, generator, unseeded):
        if generator is random._inst:
            (self.seeded.discard if unseeded else self.seeded.add)("random")
        elif unseeded:
            self.unseeded[id(generator)] = weakref.ref(generator)
        else:
            self.unseeded.pop(id(generator), None)

    def living(self):
        return [generator for reference in self.unseeded.values() if (generator := reference()) is not None]

    def find(self):
        """Notes which have the same state, so that they have the same in each fork as well. False if there is none."""
        groups = {}
        for generator in self.living():
            groups.setdefault(random.Random.getstate(generator), []).append(weakref.ref(generator))
        self.groups = list(groups.values())
        return bool(self.groups)

    def renew(self):
        for group in self.groups:
            state = None
            for generator in filter(None, (reference() for reference in group)):
                if state is None:
                    self.seed_of(generator)
                    state = random.Random.getstate(generator) if len(group) > 1 else None
                else:
                    self.set_state_of(generator, state)


class NumpyGenerators:
    """Generators and seed sequences of numpy for which the system was asked, except the global one."""

    def __init__(self, replace):
        self.module = module = sys.modules["numpy.random.bit_generator"]
        self.drawn = set()
        randbits = module.randbits  # numpy asks for every seed by it

        def noting(bits):
            value = randbits(bits)
            self.drawn.add(value)
            return value

        replace(module, "randbits", noting)

    def find(self):
        """Finds those that exist. False if there is none."""
        self.sequences, self.generators, self.copies, self.legacy = [], [], [], []
        if not self.drawn:
            return False
        mtrand = sys.modules["numpy.random.mtrand"]
        things = gc.get_objects()
        self.sequences = [t for t in things if issubclass(type(t), self.module.SeedSequence) and self.is_drawn(t)]
        found = [t for t in things if issubclass(type(t), self.module.BitGenerator) and self.is_drawn(sequence_of(t))]
        legacy = [t for t in things if issubclass(type(t), mtrand.RandomState) and t is not mtrand._rand]
        self.sort(found)
        renewed = set(map(id, self.generators))
        self.legacy = [t for t in legacy if id(t._bit_generator) in renewed]
        return bool(self.sequences or self.generators)

    def sort(self, found):
        """Finds those whose state was set since: to that of another one, or to one of the service's."""
        own, changed = {}, []
        for generator in found:
            constant = constant_of(generator)
            if constant == constant_of(type(generator)(sequence_of(generator))):
                self.generators.append(generator)
                own.setdefault((type(generator), constant), generator)
            else:
                changed.append((generator, (type(generator), constant)))
        for generator, key in changed:
            original = own.get(key)
            if original is None:
                continue  # the service's
            if same_state(generator, original):
                self.copies.append((generator, original))
            else:
                self.generators.append(generator)

    def is_drawn(self, sequence):
        entropy = getattr(sequence, "entropy", None)
        return isinstance(entropy, int) and entropy in self.drawn

    def renew(self):
        values = {}
        for sequence in self.sequences:
            entropy = values.setdefault(sequence.entropy, int.from_bytes(os.urandom(16), "little"))
            sequence.__init__(
                entropy,
                spawn_key=sequence.spawn_key,
                pool_size=sequence.pool_size,
                n_children_spawned=sequence.n_children_spawned,
            )
        for generator in self.generators:
            generator.__init__(sequence_of(generator))
        for generator, original in self.copies:
            generator.state = original.state
        for generator in self.legacy:
            generator.set_state(generator._bit_generator.state)  # forgets a number that was drawn ahead


def sequence_of(generator):
    return getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)


def same_state(one, other):
    return repr(one.state) == repr(other.state)


def constant_of(generator):
    """What of a generator's state its seed alone decides; None where that is nothing."""
    state = generator.state["state"]
    constant = state.get("inc", state.get("key")) if generator.state["bit_generator"] != "MT19937" else None
    return constant.tobytes() if hasattr(constant, "tobytes") else constant


class TorchGenerator:
    """The default generator of torch."""

    def __init__(self, module, replace):
        self.module, self.drawn = module, {module.initial_seed()}
        seed = module.seed

        def noting():
            self.drawn.add(value := seed())
            return value

        replace(module, "seed", noting)

    def find(self):
        return self.module.initial_seed() in self.drawn

    def renew(self):
        self.module.default_generator.seed()


class Clock:
    """What uuid keeps between two values made of the time."""

    def __init__(self, module, replace):
        self.module, self.used = module, False
        for name in ("uuid1", "getnode"):
            replace(module, name, self.noting(getattr(module, name)))

    def noting(self, function):
        def uuid(*args, **kwargs):
            self.used = True
            return function(*args, **kwargs)

        return uuid

    def find(self):
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
