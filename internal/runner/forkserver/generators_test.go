//go:build linux

package forkserver_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// drawing are imports that make generators, and the draws of an execution. Each
// value differs between executions, as none of the generators has a seed, except
// for those that begin with "same".
var drawing = map[string]string{
	"an object": `
import random
kept = random.Random()
kept.random()
def look(): return {"drawn": kept.random()}`,
	"an object in an object": `
import random
class Holder: __slots__ = ("inner",)
kept = Holder()
kept.inner = {"a": [random.Random()]}
def look(): return {"drawn": kept.inner["a"][0].getrandbits(64)}`,
	"a subclass": `
import random
class Dice(random.Random):
    def __init__(self): super().__init__()
    def __eq__(self, other): return True
    __hash__ = None
kept = Dice()
def look(): return {"drawn": kept.gauss(0, 1)}`,
	"the class by another name": `
from random import Random as R
kept = R(None)
def look(): return {"drawn": kept.random()}`,
	"seeded, then not": `
import random
kept = random.Random(42)
kept.seed()
def look(): return {"drawn": kept.random()}`,
	"a copy": `
import copy, random
one = random.Random()
two, three = copy.copy(one), copy.deepcopy(one)
def look():
    a, b, c = one.random(), two.random(), three.random()
    return {"drawn": a, "same": [a == b, b == c]}`,
	"the state before a seed": `
import random
state = random.getstate()
random.seed(0)
first = random.random()
random.setstate(state)
def look(): return {"drawn": random.random(), "same": first}`,
	"the state of an object": `
import random
kept = random.Random()
state = kept.getstate()
kept.seed(1)
for _ in range(2000): kept.random()
kept.setstate(state)
def look(): return {"drawn": kept.random()}`,
	"a state put together": `
import random
version, words, _ = random.getstate()
random.random()
kept = random.Random(1)
kept.setstate((version, words[:-1] + (0,), None))
def look(): return {"drawn": kept.random()}`,
	"pickled": `
import pickle, random
kept = pickle.loads(pickle.dumps(random.Random()))
def look(): return {"drawn": kept.random()}`,
	"a copy of the global one": `
import copy, random
kept = copy.deepcopy(random._inst)
def look():
    drawn = kept.random()
    return {"drawn": drawn, "same": drawn == random.random()}`,
	"by the state of the global one": `
import random
kept = random.Random(5)
kept.setstate(random.getstate())
random.random()
def look(): return {"drawn": kept.random()}`,
	"frozen": `
import gc, random
kept = [random.Random()]
gc.freeze()
def look(): return {"drawn": kept[0].random()}`,
	"a name from before": `
import random
from random import getstate, seed, setstate
state = getstate()
seed(3)
setstate(state)
def look(): return {"drawn": random.random()}`,
	"seeded by the class below": `
import _random, random
kept, other = random.Random(), random.Random(9)
_random.Random.seed(kept, 5)
_random.Random.seed(other)
_random.Random.setstate(random._inst, kept.getstate()[1])
def look(): return {"same": [kept.random(), random.random()], "drawn": other.random()}`,
	"of a class in C": `
import _random
kept, own = {"a": (_random.Random(),)}, _random.Random()
kept["a"][0].seed()
own.seed(5)
def look(): return {"drawn": kept["a"][0].random(), "same": own.random()}`,
	"the system's": `
import random
kept = random.SystemRandom()
def look(): return {"drawn": kept.random()}`,
	"not seeded, then seeded": `
import random
kept = random.Random()
kept.seed(42)
state = random.Random(7).getstate()
other = random.Random()
other.setstate(state)
def look(): return {"same": [kept.random(), other.random()]}`,
	"of a database": `
import sqlite3
kept = sqlite3.connect(":memory:")
drawn = kept.execute("select hex(randomblob(16)), random()").fetchall()
def look():
    new = sqlite3.connect(":memory:").execute("select hex(randomblob(16))").fetchone()[0]
    return {"new": new, "kept": kept.execute("select random()").fetchone()[0]}`,
	"of a database without names": `
import ctypes, sqlite3
class Hidden(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "sqlite3_randomness":
            raise AttributeError(name)
        return super().__getattr__(name)
ctypes.CDLL = Hidden
drawn = sqlite3.connect(":memory:").execute("select random()").fetchall()
def look(): return {"new": sqlite3.connect(":memory:").execute("select hex(randomblob(16))").fetchone()[0]}`,
	"the key of processes": `
import multiprocessing
multiprocessing.Process(target=print)
def look(): return {"drawn": multiprocessing.current_process().authkey.hex()}`,
	"the key of later processes": `
import multiprocessing, multiprocessing.managers
kept = multiprocessing.Process(target=print)
manager = multiprocessing.managers.SyncManager()
def look():
    key = multiprocessing.current_process().authkey
    return {"drawn": key.hex(), "same": [kept.authkey == key, manager._authkey == key]}`,
	"a key of the service": `
import multiprocessing
multiprocessing.current_process().authkey = b"of the service"
def look(): return {"same": bytes(multiprocessing.current_process().authkey).decode()}`,
	"names of temporary files": `
import os, tempfile
kept = next(tempfile._get_candidate_names())
def look(): return {"drawn": tempfile.mktemp()}`,
	"the time": `
import uuid
kept = uuid.uuid1()
def look(): return {"drawn": str(uuid.uuid1()), "sequence": uuid.uuid1().clock_seq * 2**48 + uuid.uuid1().node}`,
}

// drawingNumbers are such imports for numpy.
var drawingNumbers = map[string]string{
	"a generator": `
import numpy
kept = numpy.random.default_rng()
kept.random()
def look(): return {"drawn": kept.random(), "whole": int(kept.integers(1 << 60)), "few": int(kept.integers(1 << 31, dtype="int32"))}`,
	"an old generator": `
from numpy.random import RandomState
kept = RandomState()
kept.normal()
def look(): return {"drawn": kept.normal(), "next": kept.normal(), "whole": int(kept.randint(1 << 60))}`,
	"each kind": `
import numpy
kept = {name: numpy.random.Generator(getattr(numpy.random, name)()) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")}
def look(): return {name: rng.random() for name, rng in kept.items()}`,
	"kept elsewhere": `
import numpy
class Holder: __slots__ = ("inner",)
kept = Holder()
kept.inner = {"a": (numpy.random.PCG64(),)}
def look(): return {"drawn": int(kept.inner["a"][0].random_raw() >> 8)}`,
	"a seed sequence": `
import numpy
kept = numpy.random.SeedSequence()
children = kept.spawn(2)
streams = [numpy.random.default_rng(child) for child in children]
def look():
    again = [numpy.random.default_rng(child) for child in children]
    a, b = [s.random() for s in streams], [s.random() for s in again]
    return {"one": a[0], "two": a[1], "new": int(kept.spawn(1)[0].generate_state(1)[0]), "same": [a == b, a[0] != a[1]]}`,
	"generators of a generator": `
import numpy
kept = numpy.random.default_rng()
children = kept.bit_generator.seed_seq.spawn(2)
parts = [numpy.random.Generator(numpy.random.PCG64(child)) for child in children]
far = numpy.random.Generator(kept.bit_generator.jumped())
def look():
    a, b, c, d = kept.random(), parts[0].random(), parts[1].random(), far.random()
    later = numpy.random.default_rng(kept.bit_generator.seed_seq.spawn(1)[0]).random()
    return {"a": a, "b": b, "c": c, "d": d, "later": later, "same": len({a, b, c, d, later})}`,
	"a copy": `
import copy, numpy
one = numpy.random.default_rng()
two = copy.deepcopy(one)
three = numpy.random.default_rng()
three.bit_generator.state = one.bit_generator.state
def look():
    a, b, c = one.random(), two.random(), three.random()
    return {"drawn": a, "same": [a == b, a == c]}`,
	"the state before a seed": `
import numpy
state = numpy.random.get_state()
numpy.random.seed(0)
first = numpy.random.random()
numpy.random.set_state(state)
def look(): return {"drawn": numpy.random.random(), "same": first}`,
	"the state of an object": `
import numpy
one, two, three = numpy.random.RandomState(), numpy.random.MT19937(), numpy.random.SFC64()
states = one.get_state(), two.state, three.state
one.seed(1)
one.set_state(states[0])
two.random_raw(5000)
two.state = states[1]
three.random_raw(5000)
def look(): return {"one": one.random(), "two": int(two.random_raw()), "three": int(three.random_raw())}`,
	"states of others": `
import numpy
kinds = [getattr(numpy.random, name) for name in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")]
kept = [kind(42) for kind in kinds]
for generator, kind in zip(kept, kinds): generator.state = kind().state
old = numpy.random.RandomState(42)
old.set_state(numpy.random.RandomState().get_state())
def look(): return {str(i): int(g.random_raw()) for i, g in enumerate(kept)} | {"old": old.random()}`,
	"the state of python": `
import numpy, random
numpy.random.set_state(("MT19937", random.getstate()[1][:-1], 624))
def look(): return {"drawn": numpy.random.random()}`,
	"the state of another object": `
import numpy
numpy.random.set_state(numpy.random.RandomState().get_state())
def look(): return {"drawn": numpy.random.random()}`,
	"the state for python": `
import numpy, random
_, words, position, _, _ = numpy.random.get_state()
random.setstate((3, (*map(int, words), position), None))
def look(): return {"drawn": random.random()}`,
	"pickled": `
import numpy, pickle
kept = pickle.loads(pickle.dumps([numpy.random.default_rng(), numpy.random.RandomState()]))
def look(): return {str(i): one.random() for i, one in enumerate(kept)}`,
	"frozen": `
import gc, numpy
kept = [numpy.random.default_rng(), numpy.random.RandomState(), numpy.random.SeedSequence()]
gc.freeze()
def look(): return {"new": kept[0].random(), "old": kept[1].random(), "sequence": int(kept[2].generate_state(1, "uint64")[0])}`,
	"seeded again": `
import numpy
kept = numpy.random.RandomState(42)
kept.seed()
numpy.random.seed(42)
numpy.random.seed()
def look(): return {"drawn": kept.random(), "global": numpy.random.random()}`,
	"used much": `
import numpy
kept = numpy.random.RandomState()
kept.random(300_000)
numpy.random.random(300_000)
def look(): return {"drawn": kept.random(), "global": numpy.random.random()}`,
	"a sequence of the drawn": `
import numpy
kept = numpy.random.SeedSequence([numpy.random.SeedSequence().entropy, 1])
own = numpy.random.default_rng(kept)
def look(): return {"drawn": own.random(), "later": int(kept.generate_state(1, "uint64")[0])}`,
	"the sequence of the global one": `
import numpy
kept = numpy.random.mtrand._rand._bit_generator._seed_seq
def look(): return {"new": numpy.random.default_rng(kept).random(), "global": numpy.random.random()}`,
	"a bit generator of the global one": `
import numpy
kept = numpy.random.RandomState(numpy.random.mtrand._rand._bit_generator)
other = numpy.random.RandomState(numpy.random.MT19937())
def look(): return {"drawn": kept.random(), "global": numpy.random.random(), "other": other.random()}`,
	"one sequence of two": `
import numpy
sequence = numpy.random.SeedSequence()
one, two = numpy.random.PCG64(sequence), numpy.random.PCG64(sequence)
two.advance(5)
def look(): return {"one": int(one.random_raw()), "two": int(two.random_raw())}`,
	"seeded by the singleton": `
import numpy
numpy.random.mtrand._rand.seed(5)
def look(): return {"same": numpy.random.random()}`,
	"seeded words": `
import numpy
kept = numpy.random.SFC64()
kept.state = numpy.random.SFC64(5).state
def look(): return {"same": int(kept.random_raw())}`,
	"seeds of the service": `
import numpy
one, two = numpy.random.default_rng(42), numpy.random.RandomState(42)
three = numpy.random.default_rng()
three.bit_generator.state = numpy.random.default_rng(7).bit_generator.state
four = numpy.random.Generator(numpy.random.PCG64(1).jumped())
five = numpy.random.SeedSequence(5)
six = numpy.random.default_rng(five.spawn(1)[0])
def look(): return {"same": [r.random() for r in (one, two, three, four, six)] + [int(n) for n in five.generate_state(2)]}`,
}

func TestGeneratorsOfTheImport(t *testing.T) { each(t, testGeneratorsOfTheImport) }

func testGeneratorsOfTheImport(t *testing.T, sb *process.Sandbox) {
	for name, text := range drawing {
		t.Run(name, func(t *testing.T) {
			o := written(t, text+looks, sb)
			o.Spares = 1
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			drawn := []left{do(t, cold(o), "x")}
			for range 3 {
				drawn = append(drawn, do(t, r, "x"))
			}
			differ(t, drawn)
		})
	}
}

// unknown are generators whose states do not show where their seeds come from.
var unknown = map[string]string{
	"of a class in C":       "import _random\nkept = _random.Random()",
	"of a derived class":    "import _random\nclass Own(_random.Random): __slots__ = ()\nkept = (Own(),)",
	"with another seed":     "import random\nclass Own(random.Random):\n    def seed(self, *_): pass\nkept = Own()",
	"with a state from out": "import random\nrandom.setstate((3, tuple(range(1, 625)) + (624,), None))",
}

// unknownNumbers are such generators of numpy.
var unknownNumbers = map[string]string{
	"with a seeded state":  "import numpy\nkept = numpy.random.RandomState()\nkept.set_state(numpy.random.RandomState(42).get_state())",
	"of a seeded state":    "import numpy\nkept = numpy.random.MT19937()\nkept.state = numpy.random.MT19937(42).state",
	"a jump ahead":         "import numpy\nkept = numpy.random.MT19937().jumped()",
	"with a counter ahead": "import numpy\nkept = numpy.random.SFC64()\nstate = kept.state\nstate['state']['state'][3] = 1 << 60\nkept.state = state",
}

func TestColdWhereASeedIsUnknown(t *testing.T) {
	for name, text := range unknown {
		t.Run(name, func(t *testing.T) { coldForASeed(t, written(t, text+"\n"+trivial, nil)) })
	}
	for name, text := range unknownNumbers {
		t.Run("numpy "+name, func(t *testing.T) { coldForASeed(t, numerical(t, written(t, text+"\n"+trivial, nil))) })
	}
}

func coldForASeed(t *testing.T, o forkserver.Options) {
	t.Helper()
	r := forkserver.NewRunner(o)
	defer func() { _ = r.Close() }()
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := r.Program().State(); state.Warm || !strings.Contains(state.Reason, "not known whether it was seeded") {
		t.Errorf("the service starts %+v; want cold for a generator", state)
	}
}

func TestNumericalGeneratorsOfTheImport(t *testing.T) {
	for name, text := range drawingNumbers {
		t.Run(name, func(t *testing.T) {
			o := numerical(t, written(t, text+looks, nil))
			o.Spares = 1
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			drawn := []left{do(t, cold(o), "x")}
			for range 3 {
				drawn = append(drawn, do(t, r, "x"))
			}
			differ(t, drawn)
		})
	}
}

// differ compares the draws of executions, the first of them cold.
func differ(t *testing.T, drawn []left) {
	t.Helper()
	want, seen := map[string]any(nil), map[string]bool{}
	for i, one := range drawn {
		values, ok := one.value["seen"].(map[string]any)
		if !ok {
			t.Fatalf("execution %d returns %v, want numbers\n%s", i, one.value, one.stderr)
		}
		if want == nil {
			want = values
		}
		for name, value := range values {
			switch key := fmt.Sprint(name, value); {
			case name == "same" && !reflect.DeepEqual(value, want["same"]):
				t.Errorf("execution %d draws %v, want %v as cold", i, value, want["same"])
			case name != "same" && seen[key]:
				t.Errorf("execution %d draws %s = %v like another one, want a different number", i, name, value)
			default:
				seen[key] = true
			}
		}
	}
}
