//go:build linux

package forkserver_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// drawing are imports that make generators, and what an execution draws. Each
// value differs between executions, as none of the generators has a seed, but
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

// differ compares what executions have drawn, the first of them cold.
func differ(t *testing.T, drawn []left) {
	t.Helper()
	want, seen := map[string]any(nil), map[string]bool{}
	for i, one := range drawn {
		values, ok := one.value["seen"].(map[string]any)
		if !ok {
			t.Fatalf("execution %d: %v %s", i, one.value, one.stderr)
		}
		if want == nil {
			want = values
		}
		for name, value := range values {
			switch key := fmt.Sprint(name, value); {
			case name == "same" && !reflect.DeepEqual(value, want["same"]):
				t.Errorf("execution %d draws %v; cold: %v", i, value, want["same"])
			case name != "same" && seen[key]:
				t.Errorf("execution %d draws %s = %v, as another one", i, name, value)
			default:
				seen[key] = true
			}
		}
	}
}
