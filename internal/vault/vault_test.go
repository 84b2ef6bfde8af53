package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// goleakMain runs the tests and looks for goroutines that they leave.
type goleakMain struct{ *testing.M }

func (m goleakMain) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		return 1
	}
	return code
}

var owner = vault.ExecutionOwner("8a9c2a5e-6a3f-4d0e-9c5f-0d8f4f3f1a11")

// keyText gives keys made of one byte each, as a key file writes them.
func keyText(versions map[int]byte) []byte {
	var text strings.Builder
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		key := bytes.Repeat([]byte{versions[v]}, 32)
		fmt.Fprintf(&text, "%d:%s\n", v, base64.StdEncoding.EncodeToString(key))
	}
	return []byte(text.String())
}

func ring(t testing.TB, versions map[int]byte) *vault.Keyring {
	t.Helper()
	k, err := vault.FromText(keyText(versions))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func secrets(pairs ...string) vault.Secrets {
	s := vault.Secrets{}
	for i := 0; i < len(pairs); i += 2 {
		s[pairs[i]] = plaintext.FromString(pairs[i+1])
	}
	return s
}

func seal(t testing.TB, k *vault.Keyring, s vault.Secrets) vault.Sealed {
	t.Helper()
	sealed, err := k.Seal(owner, s)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func assertOpens(t *testing.T, k *vault.Keyring, sealed vault.Sealed, want vault.Secrets) {
	t.Helper()
	got, err := k.Open(owner, sealed)
	if err != nil {
		t.Fatal(err)
	}
	same := maps.EqualFunc(got, want, func(a, b vault.Plaintext) bool { return bytes.Equal(a.Reveal(), b.Reveal()) })
	if !same {
		t.Errorf("the %d opened values differ from the sealed ones, want the same", len(got))
	}
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	rapid.Check(t, func(t *rapid.T) {
		given := vault.Secrets{}
		for name, value := range rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Byte())).Draw(t, "secrets") {
			given[name] = plaintext.New(value)
		}
		of := rapid.String().Draw(t, "owner")
		sealed, err := k.Seal(vault.ExecutionOwner(of), given)
		if err != nil || !sealed.WellFormed() {
			t.Fatalf("Seal() = %v, well-formed: %v, want nil and true", err, sealed.WellFormed())
		}
		opened, err := k.Open(vault.ExecutionOwner(of), sealed)
		if err != nil || len(opened) != len(given) {
			t.Fatalf("Open() = %d values, %v, want %d", len(opened), err, len(given))
		}
		for name, value := range given {
			if !bytes.Equal(opened[name].Reveal(), value.Reveal()) {
				t.Fatalf("the value of %q changed, want it as sealed", name)
			}
		}
		if _, err := k.Open(vault.ExecutionOwner(of+"x"), sealed); len(given) > 0 && !errors.Is(err, vault.ErrTampered) {
			t.Fatalf("Open(for another owner) = %v, want ErrTampered", err)
		}
	})
}

func TestSealedShowsNoValue(t *testing.T) {
	t.Parallel()
	const value = "canary-value-4711"
	sealed := seal(t, ring(t, map[int]byte{1: 7}), secrets("api_token", value, "empty", ""))
	for i := range len(value) - 4 {
		if bytes.Contains(sealed, []byte(value[i:i+4])) {
			t.Errorf("4 bytes of the value from %d are in the sealed bytes, want none", i)
		}
	}
}

func TestSealingTwiceDiffers(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	if bytes.Equal(seal(t, k, secrets("a", "same")), seal(t, k, secrets("a", "same"))) {
		t.Error("equal secrets look equal when sealed")
	}
}

func TestEveryChangedBitIsNoticed(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7, 2: 9})
	sealed := seal(t, k, secrets("api_token", "value-1", "other", ""))
	for i := range sealed {
		for bit := range 8 {
			changed := slices.Clone(sealed)
			changed[i] ^= 1 << bit
			_, err := k.Open(owner, changed)
			// A changed key id is another key; all else is tampering.
			if !errors.Is(err, vault.ErrTampered) && !errors.Is(err, vault.ErrUnknownKey) {
				t.Fatalf("Open(byte %d, bit %d changed) = %v, want ErrTampered or ErrUnknownKey", i, bit, err)
			}
			if _, _, err := k.Rewrap(owner, changed); err == nil && i < 78 {
				t.Fatalf("Rewrap(byte %d, bit %d changed) = nil, want an error", i, bit)
			}
		}
	}
	for n := 1; n < len(sealed); n++ {
		if _, err := k.Open(owner, sealed[:n]); !errors.Is(err, vault.ErrTampered) {
			t.Fatalf("Open(cut to %d bytes) = %v, want ErrTampered", n, err)
		}
	}
	if _, err := k.Open(owner, append(slices.Clone(sealed), 0)); !errors.Is(err, vault.ErrTampered) {
		t.Errorf("Open(a byte more) = %v, want ErrTampered", err)
	}
}

// TestValuesCannotBeMoved: the entries of one set have the same data key; still
// none can take the place of another, and none can be dropped.
func TestValuesCannotBeMoved(t *testing.T) {
	t.Parallel()
	const header = 78
	const entry = 2 + 1 + 4 + 28 + 5
	k := ring(t, map[int]byte{1: 7})
	sealed := seal(t, k, secrets("a", "val-a", "b", "val-b"))
	head, a, b := sealed[:header], sealed[header:header+entry], sealed[header+entry:]
	if len(b) != entry {
		t.Fatalf("an entry has %d bytes, want %d", len(b), entry)
	}
	fewer := slices.Concat(head, a)
	fewer[17] = 1
	renamedA, renamedB := slices.Clone(a), slices.Clone(b)
	renamedA[2], renamedB[2] = 'b', 'a'
	for name, forged := range map[string][]byte{
		"swapped":             slices.Concat(head, b, a),
		"names exchanged":     slices.Concat(head, renamedA, renamedB),
		"values exchanged":    slices.Concat(head, a[:3], b[3:], b[:3], a[3:]),
		"one twice":           slices.Concat(head, a, a),
		"one dropped":         slices.Concat(head, a),
		"one dropped, count":  fewer,
		"all dropped":         head,
		"another set's value": slices.Concat(head, a, seal(t, k, secrets("a", "val-a", "b", "val-c"))[header+entry:]),
	} {
		if _, err := k.Open(owner, forged); !errors.Is(err, vault.ErrTampered) {
			t.Errorf("Open(%s) = %v, want ErrTampered", name, err)
		}
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	given := secrets("a", "one", "b", "two")
	before := ring(t, map[int]byte{1: 7})
	both := ring(t, map[int]byte{1: 7, 2: 9})
	after := ring(t, map[int]byte{2: 9})
	old := seal(t, before, given)

	assertOpens(t, both, old, given)
	wrapped, changed, err := both.Rewrap(owner, old)
	if err != nil || !changed || wrapped.KeyVersion() != 2 || old.KeyVersion() != 1 {
		t.Fatalf("Rewrap() = %v, changed %v, version %d from %d, want version 2 from 1", err, changed, wrapped.KeyVersion(), old.KeyVersion())
	}
	assertOpens(t, after, wrapped, given)
	if again, changed, err := both.Rewrap(owner, wrapped); err != nil || changed || !bytes.Equal(again, wrapped) {
		t.Errorf("Rewrap(wrapped by the newest) = changed %v, %v, want no change", changed, err)
	}
	if _, _, err := both.Rewrap(vault.ExecutionOwner("another"), old); !errors.Is(err, vault.ErrTampered) {
		t.Errorf("Rewrap(for another owner) = %v, want ErrTampered", err)
	}
	_, err = after.Open(owner, old)
	var missing *vault.KeyError
	if !errors.Is(err, vault.ErrUnknownKey) || !errors.As(err, &missing) || missing.Version != 1 || missing.Replaced {
		t.Errorf("Open(by a keyring without the version) = %v, want ErrUnknownKey of version 1", err)
	}
}

func TestAnotherKeyOfTheSameVersion(t *testing.T) {
	t.Parallel()
	sealed := seal(t, ring(t, map[int]byte{1: 7}), secrets("a", "x"))
	kept := bytes.Clone(sealed)
	_, err := ring(t, map[int]byte{1: 8}).Open(owner, sealed)
	var missing *vault.KeyError
	if !errors.As(err, &missing) || !missing.Replaced || !strings.Contains(err.Error(), "nothing is lost") {
		t.Errorf("Open(by an exchanged key) = %v, want a KeyError with Replaced", err)
	}
	if !bytes.Equal(kept, sealed) {
		t.Error("the sealed bytes were touched")
	}
}

func TestNoSecrets(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	sealed := seal(t, k, nil)
	if len(sealed) != 0 || !sealed.WellFormed() || sealed.KeyVersion() != 0 {
		t.Errorf("Seal(no secrets) = %d bytes, want 0", len(sealed))
	}
	assertOpens(t, k, sealed, nil)
	if _, changed, err := k.Rewrap(owner, sealed); changed || err != nil {
		t.Errorf("Rewrap(no secrets) = changed %v, %v, want no change", changed, err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	for name, s := range map[string]vault.Secrets{
		"name":  secrets(strings.Repeat("n", 1<<16), "v"),
		"value": {"v": plaintext.New(make([]byte, 16<<20+1))},
	} {
		if _, err := k.Seal(owner, s); !errors.Is(err, vault.ErrTooLarge) {
			t.Errorf("Seal(%s) = %v, want ErrTooLarge", name, err)
		}
	}
	if vault.Sealed("a value in the clear, long enough to pass for sealed secrets by its length alone, 78").WellFormed() {
		t.Error("plain text passes for sealed secrets")
	}
}

func TestMACs(t *testing.T) {
	t.Parallel()
	mac := func(k *vault.Keyring, purpose, message string) [][]byte {
		macs, err := k.MACs(purpose, []byte(message))
		if err != nil {
			t.Fatal(err)
		}
		return macs
	}
	before, both := ring(t, map[int]byte{1: 7}), ring(t, map[int]byte{1: 7, 2: 9})
	stored := mac(before, "idempotency", "body")[0]
	now := mac(both, "idempotency", "body")
	if len(now) != 2 || !bytes.Equal(now[1], stored) || bytes.Equal(now[0], stored) {
		t.Error("a MAC stored before a rotation is not the second one after it")
	}
	if bytes.Equal(mac(before, "idempotency", "body2")[0], stored) || bytes.Equal(mac(before, "other", "body")[0], stored) {
		t.Error("message or purpose do not matter")
	}
}

func TestKeyringShowsNoKey(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 'K'})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{k, struct{ K *vault.Keyring }{k}} {
			printed := fmt.Sprintf(verb, v)
			if strings.Contains(printed, "KKKK") || strings.Contains(printed, "4b4b") || strings.Contains(printed, "S0tL") {
				t.Errorf("%s shows the key, want none of it", verb)
			}
		}
	}
	k.Clear()
	if len(k.Versions()) != 0 {
		t.Error("still there after Clear")
	}
}

func FuzzOpen(f *testing.F) {
	k := ring(f, map[int]byte{1: 7, 2: 9})
	sealed := seal(f, k, secrets("a", "one", "b", ""))
	f.Add([]byte(sealed))
	f.Add([]byte(sealed[:78]))
	f.Add([]byte("qhs\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		opened, err := k.Open(owner, data)
		if err != nil {
			if !errors.Is(err, vault.ErrTampered) && !errors.Is(err, vault.ErrUnknownKey) {
				t.Fatalf("Open(random bytes) = %v, want ErrTampered or ErrUnknownKey", err)
			}
			return
		}
		// The seeds of a worker are sealed by another process, so the test
		// recognises a set that opens by its content.
		if len(data) > 0 && (len(opened) != 2 || string(opened["a"].Reveal()) != "one") {
			t.Fatalf("%d forged values opened, want none but those of the seed", len(opened))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, s := ring(b, map[int]byte{1: 7}), secrets("api_token", strings.Repeat("x", 40))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(owner, s); err != nil {
			b.Fatal(err)
		}
	}
}
