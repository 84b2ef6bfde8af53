package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/gofrs/flock"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/privatefile"
)

// EnvironmentVariable is where a server looks for its master key before it
// looks for a file. It holds what [FromText] reads.
const EnvironmentVariable = "QHUBCTL_MASTER_KEY"

const keyFileComment = "# The master key of qhubctl: it opens every stored secret.\n" +
	"# Keep it secret, and keep a copy: without it, stored secrets are lost.\n"

// maxKeyFile is ample for hundreds of versions.
const maxKeyFile = 64 << 10

// OpenFile reads the keyring at path, and makes one with a new key if there
// is no such file. A caller that knows of secrets sealed earlier uses
// [ReadFile], which makes nothing: a new key would not open them.
func OpenFile(path string) (*Keyring, error) {
	ring, err := ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if err := createFile(path, map[uint32]Plaintext{1: newKey()}); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// Read it even if it is ours: of two first starts, one has lost the race.
	return ReadFile(path)
}

// ReadFile reads the keyring at path. It refuses a file that others may read.
func ReadFile(path string) (*Keyring, error) {
	file, info, err := privatefile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the master key file: %w", err)
	}
	defer func() { _ = file.Close() }()
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrKeyFormat, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	defer clear(text)
	if err != nil {
		return nil, fmt.Errorf("read the master key file: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("%w: %s is no master key file, it is too large", ErrKeyFormat, path)
	}
	ring, err := FromText(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// FromText reads keys from the form that a key file and the environment
// variable share: VERSION:BASE64 of 32 bytes, one per line or separated by
// commas; lines that begin with # are comments. It copies what it keeps, so
// the caller may wipe text.
func FromText(text []byte) (*Keyring, error) {
	keys := map[uint32]Plaintext{}
	ok := false
	defer func() {
		if !ok {
			for _, key := range keys {
				key.Clear()
			}
		}
	}()
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		for part := range bytes.SplitSeq(line, []byte(",")) {
			version, key, err := parseKey(bytes.TrimSpace(part))
			if err != nil {
				return nil, fmt.Errorf("%w: line %d: %w", ErrKeyFormat, number, err)
			}
			if _, twice := keys[version]; twice {
				key.Clear()
				return nil, fmt.Errorf("%w: line %d: version %d stands there twice", ErrKeyFormat, number, version)
			}
			keys[version] = key
		}
	}
	ring, err := newKeyring(keys)
	ok = err == nil
	return ring, err
}

var errKeyLine = errors.New("expected VERSION:KEY, a number from 1 and 32 bytes in base64")

// parseKey reads one VERSION:BASE64. Its errors repeat nothing of the text.
func parseKey(part []byte) (uint32, Plaintext, error) {
	number, encoded, found := bytes.Cut(part, []byte(":"))
	if !found {
		return 0, Plaintext{}, errKeyLine
	}
	version, err := strconv.ParseUint(string(number), 10, 32)
	if err != nil || version == 0 {
		return 0, Plaintext{}, errKeyLine
	}
	key := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(key, encoded)
	if err != nil || n != keySize {
		clear(key)
		return 0, Plaintext{}, errKeyLine
	}
	return uint32(version), plaintext.New(key[:n]), nil
}

// Rotate adds a new version to the key file at path and returns the keyring
// with it. Secrets sealed from then on use it. After all others went through
// [Keyring.Rewrap], [Retire] removes the old versions.
func Rotate(path string) (*Keyring, error) {
	return edit(path, func(keys map[uint32]Plaintext, newest uint32) {
		keys[newest+1] = newKey()
	})
}

// Retire removes the versions before one from the key file at path. Secrets
// that are still sealed with one of them cannot be opened any more.
func Retire(path string, before uint32) (*Keyring, error) {
	return edit(path, func(keys map[uint32]Plaintext, newest uint32) {
		maps.DeleteFunc(keys, func(version uint32, _ Plaintext) bool { return version < min(before, newest) })
	})
}

// edit changes the key file, one caller at a time: of two callers that rotate,
// the second sees the version that the first has added.
func edit(path string, change func(keys map[uint32]Plaintext, newest uint32)) (_ *Keyring, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("examine the master key file: %w", err)
	}
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if err := lock.Lock(); err != nil {
		return nil, fmt.Errorf("lock the master key file: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	ring, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	defer ring.Clear()
	keys := make(map[uint32]Plaintext, len(ring.keys)+1)
	for version, m := range ring.keys {
		keys[version] = m.key
	}
	change(keys, ring.current)
	if err := replaceFile(path, keys); err != nil {
		return nil, err
	}
	return ReadFile(path)
}

func keyFileText(keys map[uint32]Plaintext) []byte {
	// Room for all, so that growing leaves no copy of a key behind.
	text := make([]byte, 0, len(keyFileComment)+len(keys)*64)
	text = append(text, keyFileComment...)
	for _, version := range slices.Sorted(maps.Keys(keys)) {
		text = strconv.AppendUint(text, uint64(version), 10)
		text = append(text, ':')
		text = base64.StdEncoding.AppendEncode(text, keys[version].Reveal())
		text = append(text, '\n')
	}
	return text
}

// createFile writes a new key file. It never replaces one: link fails where
// rename would not, and the file appears complete or not at all.
func createFile(path string, keys map[uint32]Plaintext) error {
	return writeFile(path, keys, os.Link)
}

// replaceFile replaces the key file atomically, by rename.
func replaceFile(path string, keys map[uint32]Plaintext) error {
	return writeFile(path, keys, os.Rename)
}

func writeFile(path string, keys map[uint32]Plaintext, publish func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of the master key: %w", err)
	}
	file, err := os.CreateTemp(dir, ".master-key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the master key: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	text := keyFileText(keys)
	_, err = file.Write(text)
	clear(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the master key: %w", err)
	}
	if err := publish(file.Name(), path); err != nil {
		return fmt.Errorf("put the master key in place: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a new name in a folder survive a power loss. A master key
// that is lost after it sealed something is lost for good.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("make the master key durable: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("make the master key durable: %w", err)
	}
	return nil
}
