package vault

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// Secrets are values in the clear by the name of their parameter.
type Secrets map[string]Plaintext

// Clear wipes all values.
func (s Secrets) Clear() {
	for _, value := range s {
		value.Clear()
	}
}

// Sealed is a set of secrets that only a [Keyring] can open. The zero value
// is the set of none.
type Sealed []byte

const (
	magic       = "qhs" // the form follows
	nonceSize   = 12
	tagSize     = 16
	overhead    = nonceSize + tagSize
	wrappedSize = overhead + keySize
	prefixSize  = len(magic) + 1 + 4 + keyIDSize + 2 // all before the wrapped key
	headerSize  = prefixSize + wrappedSize
	// HeaderSize is where [Sealed.Values] begins.
	HeaderSize = headerSize
	// maxValue bounds a value.
	maxValue = plaintext.MaxSize
)

// The forms of a Sealed. Form 2 is written; both are read.
const (
	form1 byte = 1
	form2 byte = 2
)

// header is the fixed beginning of a Sealed.
type header struct {
	prefix  []byte // the bytes in the Sealed
	form    byte
	version uint32
	id      keyID
	count   int
	wrapped []byte
}

// Seal encrypts secrets for owner, which names what they belong to and must
// be given to Open again. No secrets give an empty Sealed. The values are
// only read; the caller clears them.
func (k *Keyring) Seal(owner Owner, secrets Secrets) (Sealed, error) {
	return k.seal(form2, owner, secrets)
}

func (k *Keyring) seal(form byte, owner Owner, secrets Secrets) (Sealed, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	bound, err := owner.bound(form)
	if err != nil {
		return nil, fmt.Errorf("seal secrets for %q: an owner is needed", owner)
	}
	if err := checkSizes(secrets); err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var sealed Sealed
	err = shielded(func() error {
		data := newKey()
		defer data.Clear()
		aead, err := newAEAD(data.Reveal())
		if err != nil {
			return err
		}
		sealed = k.wrap(form, bound, len(secrets), data)
		for i, name := range slices.Sorted(maps.Keys(secrets)) {
			value := secrets[name].Reveal()
			sealed = binary.BigEndian.AppendUint16(sealed, uint16(len(name)))
			sealed = append(sealed, name...)
			sealed = binary.BigEndian.AppendUint32(sealed, uint32(len(value)+overhead))
			sealed = aead.Seal(sealed, nil, value, valueContext(bound, i, name)) //nolint:gosec // this AEAD makes its nonces itself
		}
		return nil
	})
	return sealed, err
}

// wrap begins a Sealed: the header, with data encrypted by the current key.
func (k *Keyring) wrap(form byte, bound []byte, count int, data Plaintext) Sealed {
	m := k.keys[k.current]
	out := make(Sealed, 0, headerSize)
	out = append(out, magic...)
	out = append(out, form)
	out = binary.BigEndian.AppendUint32(out, m.version)
	out = append(out, m.id[:]...)
	out = binary.BigEndian.AppendUint16(out, uint16(count))
	return m.aead.Seal(out, nil, data.Reveal(), keyContext(out, bound)) //nolint:gosec // this AEAD makes its nonces itself
}

func checkSizes(secrets Secrets) error {
	if len(secrets) > math.MaxUint16 {
		return fmt.Errorf("%w: %d secrets; at most %d are possible", ErrTooLarge, len(secrets), math.MaxUint16)
	}
	for name, value := range secrets {
		if len(name) > math.MaxUint16 {
			return fmt.Errorf("%w: the name of a secret has %d bytes; at most %d are possible",
				ErrTooLarge, len(name), math.MaxUint16)
		}
		if value.Len() > maxValue {
			return fmt.Errorf("%w: secret %s has %d bytes; at most %d are possible",
				ErrTooLarge, strconv.Quote(name), value.Len(), maxValue)
		}
	}
	return nil
}

// Open decrypts the secrets that were sealed for owner. The caller clears the result.
func (k *Keyring) Open(owner Owner, sealed Sealed) (Secrets, error) {
	if len(sealed) == 0 {
		return Secrets{}, nil
	}
	secrets := Secrets{}
	err := k.withRefresh(func() error {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return shielded(func() error {
			h, bound, data, err := k.unwrap(owner, sealed)
			if err != nil {
				return err
			}
			defer data.Clear()
			return openValues(bound, h.count, data, sealed[headerSize:], secrets)
		})
	})
	if err != nil {
		secrets.Clear()
		return nil, err
	}
	return secrets, nil
}

// openValues reads count values from rest into secrets.
func openValues(bound []byte, count int, data Plaintext, rest []byte, secrets Secrets) error {
	aead, err := newAEAD(data.Reveal())
	if err != nil {
		return err
	}
	for i := range count {
		var name, box []byte
		var ok bool
		if name, rest, ok = cut(rest, 2); !ok {
			return ErrTampered
		}
		if box, rest, ok = cut(rest, 4); !ok {
			return ErrTampered
		}
		value, err := aead.Open(nil, nil, box, valueContext(bound, i, string(name)))
		if err != nil {
			return ErrTampered
		}
		secrets[string(name)] = plaintext.New(value)
	}
	if len(rest) > 0 || len(secrets) != count {
		return ErrTampered
	}
	return nil
}

// Check reports whether sealed can be opened for owner, without decrypting a
// value: [ErrUnknownKey] or [ErrTampered] if not.
func (k *Keyring) Check(owner Owner, sealed Sealed) error {
	if len(sealed) == 0 {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return shielded(func() error {
		_, _, data, err := k.unwrap(owner, sealed)
		data.Clear()
		return err
	})
}

// Rewrap gives the same secrets under the current master key, and whether
// that changed anything. No value is decrypted for it, so the form stays.
func (k *Keyring) Rewrap(owner Owner, sealed Sealed) (Sealed, bool, error) {
	if len(sealed) == 0 {
		return sealed, false, nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out Sealed
	err := shielded(func() error {
		h, bound, data, err := k.unwrap(owner, sealed)
		if err != nil || h.version == k.current {
			return err
		}
		defer data.Clear()
		out = append(k.wrap(h.form, bound, h.count, data), sealed[headerSize:]...)
		return nil
	})
	if err != nil || out == nil {
		return sealed, false, err
	}
	return out, true, nil
}

// unwrap reads the header and decrypts the data key. It also returns what binds
// the values to their owner.
func (k *Keyring) unwrap(owner Owner, sealed Sealed) (h header, bound []byte, key Plaintext, err error) {
	if h, err = parseHeader(sealed); err != nil {
		return h, nil, key, err
	}
	if bound, err = owner.bound(h.form); err != nil {
		return h, nil, key, err
	}
	m, err := k.find(h.version, h.id)
	if err != nil {
		return h, nil, key, err
	}
	data, err := m.aead.Open(nil, nil, h.wrapped, keyContext(h.prefix, bound))
	if err != nil {
		return h, nil, key, ErrTampered
	}
	return h, bound, plaintext.New(data), nil
}

func parseHeader(sealed Sealed) (header, error) {
	if len(sealed) < headerSize || string(sealed[:len(magic)]) != magic {
		return header{}, ErrTampered
	}
	form := sealed[len(magic)]
	if form != form1 && form != form2 {
		return header{}, ErrTampered
	}
	fields := sealed[len(magic)+1:]
	return header{
		prefix:  sealed[:prefixSize],
		form:    form,
		version: binary.BigEndian.Uint32(fields),
		id:      keyID(fields[4 : 4+keyIDSize]),
		count:   int(binary.BigEndian.Uint16(fields[4+keyIDSize:])),
		wrapped: sealed[prefixSize:headerSize],
	}, nil
}

// WellFormed reports whether s begins like sealed secrets, or is empty. A
// store refuses anything else, so that no mistake writes a value in the clear.
func (s Sealed) WellFormed() bool {
	if len(s) == 0 {
		return true
	}
	_, err := parseHeader(s)
	return err == nil
}

// Values is the part that holds the values. [Keyring.Rewrap] leaves it unchanged.
func (s Sealed) Values() []byte {
	if len(s) < headerSize {
		return s
	}
	return s[headerSize:]
}

// KeyVersion is the version of the master key that sealed, or 0 for none.
func (s Sealed) KeyVersion() uint32 {
	h, err := parseHeader(s)
	if err != nil {
		return 0
	}
	return h.version
}

// keyContext and valueContext make the associated data. Both are unambiguous:
// parts without a fixed length are preceded by their length, or come last.
func keyContext(prefix, bound []byte) []byte {
	context := []byte("key\x00")
	context = append(context, prefix...)
	return append(context, bound...)
}

func valueContext(bound []byte, position int, name string) []byte {
	context := []byte("value\x00")
	context = binary.BigEndian.AppendUint32(context, uint32(position))
	context = binary.BigEndian.AppendUint32(context, uint32(len(bound)))
	context = append(context, bound...)
	return append(context, name...)
}

// cut takes a length of size bytes and as many bytes as it says from data.
func cut(data []byte, size int) (taken, rest []byte, ok bool) {
	if len(data) < size {
		return nil, nil, false
	}
	var length uint64
	for _, b := range data[:size] {
		length = length<<8 | uint64(b)
	}
	data = data[size:]
	if uint64(len(data)) < length {
		return nil, nil, false
	}
	return data[:length], data[length:], true
}
