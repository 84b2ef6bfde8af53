package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// AnchorsName is the file of anchors in the data folder of a platform.
const AnchorsName = "audit-anchors"

// maxAnchors is the size from which the file of anchors is written again when it is
// opened, with one line for each tenant.
const maxAnchors = 1 << 20

// Anchors keeps the heads of chains in a file outside the database. A line has a tenant,
// an anchor and a time. It is safe for concurrent use.
type Anchors struct {
	path string
	mu   sync.Mutex
	last map[string]Anchor
	kept bool
}

// ReadAnchors reads the file of anchors at path. There need not be one.
func ReadAnchors(path string) (*Anchors, error) {
	a := &Anchors{path: path, last: map[string]Anchor{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the anchors of the audit log: %w", err)
	}
	a.kept = true
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue // a write that was cut off
		}
		found, err := ParseAnchor(words[1])
		if err != nil {
			continue
		}
		if found.Number > a.last[words[0]].Number {
			a.last[words[0]] = found
		}
	}
	return a, lines.Err()
}

// Kept reports whether there is a file.
func (a *Anchors) Kept() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.kept
}

// Last is the last anchor of a tenant. It is the zero value if there is none.
func (a *Anchors) Last(tenant string) Anchor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[tenant]
}

// All are the last anchors by tenant.
func (a *Anchors) All() map[string]Anchor {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]Anchor, len(a.last))
	for tenant, anchor := range a.last {
		all[tenant] = anchor
	}
	return all
}

// Add writes heads to the file. They are durable when it returns.
func (a *Anchors) Add(now time.Time, heads ...Head) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep the anchors of the audit log: %w", err)
		}
	}()
	file, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, h := range heads {
		line(&text, h.Tenant, h.Anchor, now)
	}
	_, err = file.Write(text.Bytes())
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	a.kept = true
	for _, h := range heads {
		if h.Number > a.last[h.Tenant].Number {
			a.last[h.Tenant] = h.Anchor
		}
	}
	return nil
}

func line(to *bytes.Buffer, tenant string, a Anchor, now time.Time) {
	fmt.Fprintf(to, "%s %s %s\n", tenant, a, now.UTC().Format(time.RFC3339))
}

// Shorten writes the file again if it is large, with the last anchor of each tenant.
func (a *Anchors) Shorten(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(a.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < maxAnchors {
		return nil
	}
	var text bytes.Buffer
	for tenant, anchor := range a.last {
		line(&text, tenant, anchor, now)
	}
	var file *os.File
	if err == nil {
		file, err = os.CreateTemp(filepath.Dir(a.path), AnchorsName+"-") // only its owner can read it
	}
	if err == nil {
		_, err = file.Write(text.Bytes())
		err = errors.Join(err, file.Sync(), file.Close())
		if err == nil {
			err = os.Rename(file.Name(), a.path)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}
	if err != nil {
		return fmt.Errorf("shorten the anchors of the audit log: %w", err)
	}
	return nil
}
