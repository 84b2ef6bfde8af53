// Package blobtest is the suite that every [blob.Store] passes.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/blob"
)

// Run runs the suite. The function makes an empty store.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"ReadsWhatWasStored", readsWhatWasStored},
		{"ReadsRanges", readsRanges},
		{"StoresAKeyOnce", storesAKeyOnce},
		{"StoresAKeyOnceInARace", storesAKeyOnceInARace},
		{"LeavesNothingOfAFailedPut", leavesNothingOfAFailedPut},
		{"RefusesKeys", refusesKeys},
		{"Deletes", deletes},
		{"ReadsOnAfterDelete", readsOnAfterDelete},
		{"Lists", lists},
		{"KeysBelowKeys", keysBelowKeys},
		{"Sweeps", sweeps},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// content is different for each seed, and longer than any buffer.
func content(seed byte, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = seed ^ byte(i) ^ byte(i>>8)
	}
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func put(t *testing.T, s blob.Store, key string, b []byte) blob.Info {
	t.Helper()
	info, err := s.Put(t.Context(), key, bytes.NewReader(b), blob.PutOptions{SHA256: sumOf(b), Limit: int64(len(b))})
	if err != nil {
		t.Fatalf("Put(%q) = %v", key, err)
	}
	return info
}

func read(t *testing.T, s blob.Store, key string) []byte {
	t.Helper()
	object, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("Open(%q) = %v", key, err)
	}
	defer func() { _ = object.Close() }()
	b, err := io.ReadAll(object)
	if err != nil {
		t.Fatalf("ReadAll(%q) = %v", key, err)
	}
	return b
}

func readsWhatWasStored(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 47, 48, 49, 100_000, 3 << 20} {
		key, b := fmt.Sprintf("of/%d", size), content(3, size)
		info := put(t, s, key, b)
		if info.Size != int64(size) || info.SHA256 != sumOf(b) || info.Key != key || time.Since(info.Created).Abs() > time.Minute {
			t.Errorf("Put(%d bytes) = %+v", size, info)
		}
		if got := read(t, s, key); !bytes.Equal(got, b) {
			t.Errorf("read %d bytes of %s, want the %d that were stored", len(got), key, size)
		}
		stat, err := s.Stat(t.Context(), key)
		if err != nil || stat.Size != info.Size || stat.SHA256 != info.SHA256 {
			t.Errorf("Stat(%q) = %+v, %v; want %+v", key, stat, err, info)
		}
	}
}

func readsRanges(t *testing.T, s blob.Store) {
	b := content(7, 1<<20)
	put(t, s, "ranges", b)
	object, err := s.Open(t.Context(), "ranges")
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer func() { _ = object.Close() }()
	for _, r := range [][2]int64{{0, 10}, {500_000, 70_000}, {1<<20 - 5, 5}, {3, 0}} {
		part := make([]byte, r[1])
		if _, err := object.ReadAt(part, r[0]); err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(part, b[r[0]:r[0]+r[1]]) {
			t.Errorf("ReadAt(%d bytes at %d) = %v, or other bytes", r[1], r[0], err)
		}
	}
	if n, err := object.ReadAt(make([]byte, 100), 1<<20-5); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt(100 bytes, 5 before the end) = %d, %v; want 5 and EOF: nothing of the store's own is read", n, err)
	}
	if _, err := object.Seek(-7, io.SeekEnd); err != nil {
		t.Fatalf("Seek = %v", err)
	}
	if rest, err := io.ReadAll(object); err != nil || !bytes.Equal(rest, b[1<<20-7:]) {
		t.Errorf("read after Seek = %d bytes, %v; want the last 7", len(rest), err)
	}
}

func storesAKeyOnce(t *testing.T, s blob.Store) {
	put(t, s, "once", []byte("first"))
	_, err := s.Put(t.Context(), "once", bytes.NewReader([]byte("second")), blob.PutOptions{})
	if !errors.Is(err, blob.ErrExists) {
		t.Errorf("the second Put = %v, want ErrExists", err)
	}
	if got := read(t, s, "once"); string(got) != "first" {
		t.Errorf("after it the blob is %q, want %q", got, "first")
	}
}

func storesAKeyOnceInARace(t *testing.T, s blob.Store) {
	const writers = 8
	errs := make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			_, errs[i] = s.Put(t.Context(), "race", bytes.NewReader(content(byte(i), 100_000)), blob.PutOptions{})
		})
	}
	all.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		t.Fatalf("no Put of a race = nil: %v", errs)
	}
	for i, err := range errs {
		if i != winner && !errors.Is(err, blob.ErrExists) {
			t.Errorf("another Put of the race = %v, want ErrExists", err)
		}
	}
	if got := read(t, s, "race"); !bytes.Equal(got, content(byte(winner), 100_000)) {
		t.Error("the blob is not that of the Put that returned nil")
	}
}

// failing is a reader that fails half-way.
type failing struct{ left int }

var errBroken = errors.New("the connection broke")

func (r *failing) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errBroken
	}
	n := min(r.left, len(p))
	r.left -= n
	return n, nil
}

func leavesNothingOfAFailedPut(t *testing.T, s blob.Store) {
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		name string
		ctx  context.Context //nolint:containedctx // of one call
		from io.Reader
		o    blob.PutOptions
		want error
	}{
		{"a reader that fails", t.Context(), &failing{200_000}, blob.PutOptions{}, errBroken},
		{"one byte too many", t.Context(), bytes.NewReader(content(1, 101)), blob.PutOptions{Limit: 100}, blob.ErrTooLarge},
		{"another checksum", t.Context(), bytes.NewReader([]byte("a")), blob.PutOptions{SHA256: sumOf([]byte("b"))}, blob.ErrChecksum},
		{"a context that has ended", ended, bytes.NewReader([]byte("a")), blob.PutOptions{}, context.Canceled},
	}
	for _, test := range tests {
		if _, err := s.Put(test.ctx, "failed", test.from, test.o); !errors.Is(err, test.want) {
			t.Errorf("Put(%s) = %v, want %v", test.name, err, test.want)
		}
		if _, err := s.Open(t.Context(), "failed"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Open after Put(%s) = %v, want ErrNotFound", test.name, err)
		}
	}
	put(t, s, "failed", []byte("it can be stored now"))
}

func refusesKeys(t *testing.T, s blob.Store) {
	long := string(bytes.Repeat([]byte("k"), 129))
	for _, key := range []string{"", "/", "/a", "a/", "a//b", "..", "a/../b", ".hidden", "a/.b", `a\b`, "a b", "a\x00b", "ä", long, "a:b"} {
		if _, err := s.Put(t.Context(), key, bytes.NewReader(nil), blob.PutOptions{}); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Put(key %.20q) = %v, want ErrKey", key, err)
		}
		if _, err := s.Open(t.Context(), key); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Open(key %.20q) = %v, want ErrKey", key, err)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, blob.ErrKey) {
			t.Errorf("Delete(key %.20q) = %v, want ErrKey", key, err)
		}
	}
}

func deletes(t *testing.T, s blob.Store) {
	put(t, s, "a/b", []byte("content"))
	for range 2 { // the second time there is none
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatalf("Delete = %v", err)
		}
	}
	if _, err := s.Stat(t.Context(), "a/b"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat after Delete = %v, want ErrNotFound", err)
	}
	put(t, s, "a/b", []byte("again"))
}

func readsOnAfterDelete(t *testing.T, s blob.Store) {
	b := content(9, 300_000)
	put(t, s, "open", b)
	object, err := s.Open(t.Context(), "open")
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	defer func() { _ = object.Close() }()
	if err := s.Delete(t.Context(), "open"); err != nil {
		t.Fatalf("Delete = %v", err)
	}
	if got, err := io.ReadAll(object); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read after Delete = %d bytes, %v; want all %d", len(got), err, len(b))
	}
}

func listed(t *testing.T, s blob.Store, prefix string) []string {
	t.Helper()
	keys := []string{}
	err := s.List(t.Context(), prefix, func(i blob.Info) error {
		keys = append(keys, i.Key)
		return nil
	})
	if err != nil {
		t.Fatalf("List(%q) = %v", prefix, err)
	}
	return keys
}

func lists(t *testing.T, s blob.Store) {
	for _, key := range []string{"b/2", "a/1", "b/10", "bb", "b/1/x"} {
		put(t, s, key, []byte(key))
	}
	for prefix, want := range map[string][]string{
		"": {"a/1", "b/1/x", "b/10", "b/2", "bb"}, "b/": {"b/1/x", "b/10", "b/2"}, "b/1": {"b/1/x", "b/10"}, "c/": {}, "c": {},
	} {
		if got := listed(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q) = %q, want %q", prefix, got, want)
		}
	}
	stop := errors.New("stop")
	if err := s.List(t.Context(), "", func(blob.Info) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("List that is stopped = %v, want the error of the function", err)
	}
}

func keysBelowKeys(t *testing.T, s blob.Store) {
	put(t, s, "a", []byte("1"))
	put(t, s, "a/b", []byte("2"))
	put(t, s, "a/b/c", []byte("3"))
	for key, want := range map[string]string{"a": "1", "a/b": "2", "a/b/c": "3"} {
		if got := read(t, s, key); string(got) != want {
			t.Errorf("read(%q) = %q, want %q", key, got, want)
		}
	}
}

func sweeps(t *testing.T, s blob.Store) {
	for _, key := range []string{"p/used", "p/garbage", "q/elsewhere"} {
		put(t, s, key, []byte(key))
	}
	inUse := func(_ context.Context, i blob.Info) (bool, error) { return i.Key == "p/used", nil }
	if n, err := blob.Sweep(t.Context(), s, "p/", time.Now().Add(-time.Hour), inUse); n != 0 || err != nil {
		t.Errorf("Sweep(older than an hour) = %d, %v; want 0: all are new", n, err)
	}
	if n, err := blob.Sweep(t.Context(), s, "p/", time.Now().Add(time.Hour), inUse); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v; want 1", n, err)
	}
	if got, want := listed(t, s, ""), []string{"p/used", "q/elsewhere"}; !slices.Equal(got, want) {
		t.Errorf("after Sweep there are %q, want %q", got, want)
	}
}
