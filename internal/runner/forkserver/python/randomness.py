"""What two forks of one zygote must not share: the state of random generators.

`os.urandom`, `secrets`, `uuid4` and ssl ask the system, and a new `numpy.random.default_rng()` too. The global
generators of `random` and `numpy.random` are renewed in each fork, unless the service itself has seeded them while it
was imported: then every run begins with that seed, as it would cold. Generators that a module has made for itself at
import, and `hash()` of strings, are the same in all forks of a zygote.
"""

import os
import random
import sys

SEEDING = {"random": ("seed", "setstate"), "numpy.random": ("seed", "set_state", "set_bit_generator")}


class Watch:
    """Notices which of the global generators are seeded while a service is imported."""

    def __init__(self):
        self.seeded = set()
        self._originals = []
        self._follow("random", random)
        self._finder = NumpyFinder(self)
        if "numpy.random" in sys.modules:
            self._follow("numpy.random", sys.modules["numpy.random"])
        else:
            sys.meta_path.insert(0, self._finder)

    def _follow(self, name, module):
        for function in SEEDING[name]:
            original = getattr(module, function, None)
            if original is None:  # an old numpy has no other generators
                continue
            self._originals.append((module, function, original))
            setattr(module, function, self._noting(name, function, original))

    def _noting(self, name, function, original):
        def seed(*args, **kwargs):
            # seed() and seed(None) ask the system for a seed: that is no seed of the service's.
            if function != "seed" or any(a is not None for a in (*args, *kwargs.values())):
                self.seeded.add(name)
            else:
                self.seeded.discard(name)
            return original(*args, **kwargs)

        seed.__name__, seed.__qualname__, seed.__doc__ = function, function, original.__doc__
        return seed

    def stop(self):
        """Puts everything back. The service is imported."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for module, function, original in self._originals:
            setattr(module, function, original)

    def renew(self):
        """In a fork: gives each generator a state of its own."""
        if "random" not in self.seeded:
            random.seed()
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None and "numpy.random" not in self.seeded:
            words = os.urandom(32)
            numpy_random.seed([int.from_bytes(words[i : i + 4], "little") for i in range(0, 32, 4)])


class NumpyFinder:
    """Follows numpy.random from the moment it is imported."""

    def __init__(self, watch):
        self.watch = watch

    def find_spec(self, name, path=None, target=None):
        if name != "numpy.random":
            return None
        import importlib.util

        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_follow(module):
            execute(module)
            self.watch._follow(name, module)

        spec.loader.exec_module = execute_and_follow
        return spec
