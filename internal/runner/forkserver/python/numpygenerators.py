"""The generators of numpy that an import has left, judged by their states.

numpy asks the system for each seed through one function, so the entropy of every generator without a seed is known. A
state that follows from such entropy belongs to a generator without a seed, in any object. Every other state
comes from a seed of the service. Where the search is too long to tell, the service starts cold.
"""

import ctypes
import os
import sys

# How far the search follows a generator: MT19937 in blocks of 624 numbers, over all origins, and SFC64 in numbers.
MAX_BLOCKS, OWN_BLOCKS = 4096, 64
MAX_STEPS = 1 << 26
BLOCK = 624
# The references to a seed sequence that only its generator and this module have.
UNUSED = 6
SPAWNED = ((), (0,), (1,), (2,), (3,))


class NumpyGenerators:
    """Generators and seed sequences of numpy for which the system was asked."""

    def __init__(self, python, replace):
        self.module = sys.modules["numpy.random.bit_generator"]
        self.python, self.drawn, self.reason = python, set(), None
        self.random = numpy_random = sys.modules["numpy.random"]
        self.kinds = [getattr(numpy_random, name) for name in ("MT19937", "SFC64", "PCG64", "PCG64DXSM", "Philox")
                      if hasattr(numpy_random, name)]  # fmt: skip
        # States of MT19937 that were seen outside generators, by whether the system has seeded them, and by their keys.
        self.handed = {True: {}, False: {}}
        self.singleton = sys.modules["numpy.random.mtrand"]._rand
        self.sequences = []
        sequence = sequence_of(self.singleton._bit_generator)
        if sequence is not None:  # it was made before this object
            self.drawn.add(sequence.entropy)
        self.follow(replace)

    def follow(self, replace):
        randbits = self.module.randbits
        get_state, set_state = self.random.get_state, self.random.set_state

        def noting(bits):
            value = randbits(bits)
            self.drawn.add(value)
            return value

        def getting(*args, **kwargs):
            generator = self.singleton._bit_generator
            if type(generator) is self.kinds[0] and (origin := self.origin(generator)[0]) is not None:
                self.hand(generator, origin)
            return get_state(*args, **kwargs)

        def setting(state):
            set_state(state)
            generator = self.singleton._bit_generator
            if type(generator) is self.kinds[0]:
                self.hand(generator, bool(self.origin(generator)[0]))

        replace(self.module, "randbits", noting)
        replace(self.random, "get_state", getting)
        replace(self.random, "set_state", setting)

    def hand(self, generator, drawn):
        key = key_of(generator)
        self.handed[drawn][key] = generator.state
        (self.python.drawn if drawn else self.python.given).add(key)

    def find(self, things):
        """Finds those that forks have to renew. False if there is none."""
        module, mtrand = self.module, sys.modules["numpy.random.mtrand"]
        wanted = module.SeedSequence, module.BitGenerator, mtrand.RandomState
        kinds = {kind for kind in set(map(type, things)) if issubclass(kind, wanted)}
        things = [thing for thing in things if type(thing) in kinds]
        self.sequences = [t for t in things if isinstance(t, module.SeedSequence) and self.is_drawn(t)]
        self.sort([t for t in things if isinstance(t, module.BitGenerator)])
        self.single_out()
        renewed = {id(t) for t in (*self.generators, *self.fresh, *(copy for copy, _ in self.copies))}
        self.legacy = [t for t in things if isinstance(t, mtrand.RandomState) and id(t._bit_generator) in renewed]
        return bool(self.sequences or renewed or self.alone)

    def single_out(self):
        """Has the global generator renewed in the quickest way, if it is an MT19937 that nothing else follows."""
        generator = self.singleton._bit_generator
        waiting = next((some for some in (self.generators, self.fresh) if generator in some), ())
        followed = any(original is generator for _, original in self.copies)
        self.alone = type(generator) is self.kinds[0] and bool(waiting) and not followed
        if self.alone:
            waiting.remove(generator)
            sequence = sequence_of(generator)
            if sys.getrefcount(sequence) <= UNUSED:  # else others may take more seeds from it
                self.sequences = [s for s in self.sequences if s is not sequence]

    def sort(self, found):
        """Sorts those that the system has seeded by how they are renewed."""
        self.generators, self.fresh, self.copies = [], [], []
        states, streams = {}, set()
        known = self.origins_by_blocks([t for t in found if self.kind_of(t) is self.kinds[0]])
        for generator in found:
            drawn, own = known.get(id(generator)) or self.origin(generator)
            if drawn is None:
                self.reason = "leaves a generator of numpy of which it is not known whether it was seeded"
            if not drawn:
                continue
            original = states.setdefault((type(generator), repr_of(generator)), generator)
            stream = type(generator), id(sequence_of(generator))
            if original is not generator:
                self.copies.append((generator, original))
            elif own and stream not in streams:
                streams.add(stream)
                self.generators.append(generator)
            else:
                self.fresh.append(generator)

    def origin(self, generator):
        """Whether the system has seeded it (None: not known), and whether it follows its own seed sequence."""
        kind, sequence = self.kind_of(generator), self.sequence_of(generator)
        if kind is None:
            return (None if self.is_drawn(sequence) else False), False
        if kind is self.kinds[0]:
            return self.origins_by_blocks([generator])[id(generator)]
        follows = follows_sfc64 if kind.__name__ == "SFC64" else follows_constant
        for origin in self.origins(sequence):
            if (found := follows(generator, kind(origin))) is None:
                return None, False
            if found:
                return self.is_drawn(origin), origin is sequence
        return False, False

    def kind_of(self, generator):
        """The class of numpy that it is of, which a service may have derived from; None: that of another library."""
        return next((kind for kind in type(generator).__mro__ if kind in self.kinds), None)

    def sequence_of(self, generator):
        """Its seed sequence, unless it has none or one of the service's kind."""
        sequence = sequence_of(generator)
        return sequence if type(sequence) is self.module.SeedSequence else None

    def origins(self, sequence):
        """The seed sequences that a generator may follow, its own first."""
        if sequence is not None:
            yield sequence
        yield from self.sequences
        for entropy in list(self.drawn):
            for key in SPAWNED:
                yield self.module.SeedSequence(entropy, spawn_key=key)

    def origins_by_blocks(self, generators):
        """MT19937 has 624 words that change at once, so their origins are searched block by block."""
        kind, found, wanted = self.kinds[0], {}, {}
        starts = [(with_state(kind, state), (drawn, False), None) for drawn in (True, False)
                  for state in self.handed[drawn].values()]  # fmt: skip
        starts += [(kind(self.module.SeedSequence(entropy)), (True, False), None) for entropy in self.drawn]
        for generator in generators:
            key, sequence = key_of(generator), self.sequence_of(generator)
            # Without a sequence it was seeded by a number: one of the system's is among those that are searched.
            drawn = self.is_drawn(sequence)
            found[id(generator)] = (
                (True if key in self.python.drawn else None if drawn else False),
                False,
            )
            if sequence is not None:
                start = kind(sequence), (drawn, True), generator
                if search({key: [generator]}, [start], OWN_BLOCKS, found):
                    continue
                starts.append(start)
            wanted.setdefault(key, []).append(generator)
        search(wanted, starts, MAX_BLOCKS // max(len(starts), 1), found)
        return found

    def is_drawn(self, sequence):
        entropy = getattr(sequence, "entropy", None)
        if isinstance(entropy, int):
            return entropy in self.drawn
        return isinstance(entropy, (list, tuple)) and any(isinstance(e, int) and e in self.drawn for e in entropy)

    def renew(self):
        if self.alone:
            words = os.urandom(32)
            self.singleton.seed([int.from_bytes(words[i : i + 4], "little") for i in range(0, 32, 4)])
        values = {}

        def other(entropy):
            if not isinstance(entropy, int):
                return [other(one) if one in self.drawn else one for one in entropy]
            return values.setdefault(entropy, int.from_bytes(os.urandom(16), "little"))

        for sequence in self.sequences:
            sequence.__init__(
                other(sequence.entropy),
                spawn_key=sequence.spawn_key,
                pool_size=sequence.pool_size,
                n_children_spawned=sequence.n_children_spawned,
            )
        for generator in self.generators:
            generator.__init__(sequence_of(generator))
        for generator in self.fresh:
            generator.state = self.kind_of(generator)().state
        for generator, original in self.copies:
            generator.state = original.state
        for generator in self.legacy:
            generator.set_state(generator._bit_generator.state)  # forgets a number that was drawn ahead


def search(wanted, starts, blocks, found):
    """Follows all starts side by side, and notes the generators whose keys they reach. Says whether all were found."""
    heads = {key[:8]: key for key in wanted}
    followed = [(start, start.ctypes.state_address, origin, owner) for start, origin, owner in starts]
    for _ in range(blocks):
        for start, address, origin, owner in followed:
            key = heads.get(ctypes.string_at(address, 8))
            if key is not None and ctypes.string_at(address, 4 * BLOCK) == key:
                for generator in wanted[key]:
                    found[id(generator)] = origin[0], origin[1] and owner is generator
                del heads[key[:8]]
            start.random_raw(BLOCK, output=False)
        if not heads:
            return True
    return False


def key_of(generator):
    return generator.state["state"]["key"].astype("<u4").tobytes()


def with_state(kind, state):
    generator = kind(0)
    generator.state = state
    return generator


def words_of(generator):
    return generator.state["state"]["state"]


def repr_of(generator):
    state = generator.state["state"]
    return repr({name: value.tobytes() if hasattr(value, "tobytes") else value for name, value in state.items()})


def sequence_of(generator):
    return getattr(generator, "seed_seq", None) or getattr(generator, "_seed_seq", None)


def follows_sfc64(generator, fresh):
    """Whether one follows the other, as far as that can be known (None): the last word counts the numbers."""
    steps = (int(words_of(generator)[3]) - int(words_of(fresh)[3])) % (1 << 64)
    if steps > MAX_STEPS:
        return None
    fresh.random_raw(steps, output=False)
    return words_of(generator).tobytes() == words_of(fresh).tobytes()


def follows_constant(generator, fresh):
    """A part of the state of PCG64 and Philox is decided by the seed alone."""
    return constant_of(generator) == constant_of(fresh)


def constant_of(generator):
    state = generator.state["state"]
    constant = state["inc"] if "inc" in state else state["key"]
    return constant.tobytes() if hasattr(constant, "tobytes") else constant
