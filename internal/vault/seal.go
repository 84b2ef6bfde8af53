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
	magic       = "qhs\x01"
	nonceSize   = 12
	tagSize     = 16
	overhead    = nonceSize + tagSize
	wrappedSize = overhead + keySize
	prefixSize  = len(magic) + 4 + keyIDSize + 2 // all before the wrapped key
	headerSize  = prefixSize + wrappedSize
	// maxValue bounds a value.
	maxValue = plaintext.MaxSize
)

// header is the fixed beginning of a Sealed.
type header struct {
	prefix  []byte // as it stands in the Sealed
	version uint32
	id      keyID
	count   int
	wrapped []byte
}

// Seal encrypts secrets for owner, which names what they belong to and must
// be given to Open again. No secrets give an empty Sealed. The values are
// only read; the caller clears them.
func (k *Keyring) Seal(owner string, secrets Secrets) (Sealed, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	if err := checkSizes(secrets); err != nil {
		return nil, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var sealed Sealed
	err := shielded(func() error {
		data := newKey()
		defer data.Clear()
		aead, err := newAEAD(data.Reveal())
		if err != nil {
			return err
		}
		sealed = k.wrap(owner, len(secrets), data)
		for i, name := range slices.Sorted(maps.Keys(secrets)) {
			value := secrets[name].Reveal()
			sealed = binary.BigEndian.AppendUint16(sealed, uint16(len(name)))
			sealed = append(sealed, name...)
			sealed = binary.BigEndian.AppendUint32(sealed, uint32(len(value)+overhead))
			sealed = aead.Seal(sealed, nil, value, valueContext(owner, i, name)) //nolint:gosec // this AEAD makes its nonces itself
		}
		return nil
	})
	return sealed, err
}

// wrap begins a Sealed: the header, with data encrypted by the current key.
func (k *Keyring) wrap(owner string, count int, data Plaintext) Sealed {
	m := k.keys[k.current]
	out := make(Sealed, 0, headerSize)
	out = append(out, magic...)
	out = binary.BigEndian.AppendUint32(out, m.version)
	out = append(out, m.id[:]...)
	out = binary.BigEndian.AppendUint16(out, uint16(count))
	return m.aead.Seal(out, nil, data.Reveal(), keyContext(out, owner)) //nolint:gosec // this AEAD makes its nonces itself
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

// Open decrypts what was sealed for owner. The caller clears the result.
func (k *Keyring) Open(owner string, sealed Sealed) (Secrets, error) {
	if len(sealed) == 0 {
		return Secrets{}, nil
	}
	secrets := Secrets{}
	err := k.withRefresh(func() error {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return shielded(func() error {
			h, data, err := k.unwrap(owner, sealed)
			if err != nil {
				return err
			}
			defer data.Clear()
			return openValues(owner, h.count, data, sealed[headerSize:], secrets)
		})
	})
	if err != nil {
		secrets.Clear()
		return nil, err
	}
	return secrets, nil
}

// openValues reads count values from rest into secrets.
func openValues(owner string, count int, data Plaintext, rest []byte, secrets Secrets) error {
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
		value, err := aead.Open(nil, nil, box, valueContext(owner, i, string(name)))
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

// Check reports whether sealed can be opened for owner, as far as can be told
// without decrypting a value: [ErrUnknownKey] or [ErrTampered] if not.
func (k *Keyring) Check(owner string, sealed Sealed) error {
	if len(sealed) == 0 {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return shielded(func() error {
		_, data, err := k.unwrap(owner, sealed)
		data.Clear()
		return err
	})
}

// Rewrap gives the same secrets under the current master key, and whether
// that changed anything. No value is decrypted for it.
func (k *Keyring) Rewrap(owner string, sealed Sealed) (Sealed, bool, error) {
	if len(sealed) == 0 {
		return sealed, false, nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out Sealed
	err := shielded(func() error {
		h, data, err := k.unwrap(owner, sealed)
		if err != nil || h.version == k.current {
			return err
		}
		defer data.Clear()
		out = append(k.wrap(owner, h.count, data), sealed[headerSize:]...)
		return nil
	})
	if err != nil || out == nil {
		return sealed, false, err
	}
	return out, true, nil
}

// unwrap reads the header and decrypts the data key.
func (k *Keyring) unwrap(owner string, sealed Sealed) (header, Plaintext, error) {
	h, err := parseHeader(sealed)
	if err != nil {
		return h, Plaintext{}, err
	}
	m, err := k.find(h.version, h.id)
	if err != nil {
		return h, Plaintext{}, err
	}
	data, err := m.aead.Open(nil, nil, h.wrapped, keyContext(h.prefix, owner))
	if err != nil {
		return h, Plaintext{}, ErrTampered
	}
	return h, plaintext.New(data), nil
}

func parseHeader(sealed Sealed) (header, error) {
	if len(sealed) < headerSize || string(sealed[:len(magic)]) != magic {
		return header{}, ErrTampered
	}
	fields := sealed[len(magic):]
	return header{
		prefix:  sealed[:prefixSize],
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

// KeyVersion is the version of the master key that sealed, or 0 for none.
func (s Sealed) KeyVersion() uint32 {
	h, err := parseHeader(s)
	if err != nil {
		return 0
	}
	return h.version
}

// keyContext and valueContext make the associated data. Both are unambiguous:
// what has no fixed length is preceded by its length, or comes last.
func keyContext(prefix []byte, owner string) []byte {
	context := []byte("key\x00")
	context = append(context, prefix...)
	return append(context, owner...)
}

func valueContext(owner string, position int, name string) []byte {
	context := []byte("value\x00")
	context = binary.BigEndian.AppendUint32(context, uint32(position))
	context = binary.BigEndian.AppendUint32(context, uint32(len(owner)))
	context = append(context, owner...)
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
