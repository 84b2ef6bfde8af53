package datapool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// A ConflictError says why changed files were not written back, in words for the caller.
// Nothing was.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

// Stage compares the files that an execution has left of a writable pool with those that
// were mounted, and stores changed contents, masked as result files are. It returns
// notices for the log.
// [*ConflictError]: the pool cannot take the files.
func (m *Mounted) Stage(ctx context.Context, parameter string, left runner.Artifacts, masker *redact.Masker) (notices []string, err error) {
	one := m.pools[parameter]
	files, err := left.Files()
	if err != nil {
		return nil, err
	}
	if len(files) > m.service.MaxFiles {
		return nil, &ConflictError{fmt.Sprintf("there are more than %d files", m.service.MaxFiles)}
	}
	if skipped := runner.SkippedText(left.Skipped(), masker); skipped != "" {
		notices = append(notices, fmt.Sprintf("data pool %s: %s", parameter, skipped))
	}
	there := map[string]bool{}
	for _, file := range files {
		there[file.Name] = true
		notice, err := m.stageFile(ctx, one, left, file, masker)
		if err != nil {
			return notices, err
		}
		if notice != "" {
			notices = append(notices, fmt.Sprintf("data pool %s: %s", parameter, notice))
		}
	}
	for name, file := range one.files {
		if !there[name] && !covered(left.Skipped(), name) {
			m.staged = append(m.staged, Change{Pool: one.Pool, Name: name, Based: &file.Version})
		}
	}
	return notices, nil
}

// covered reports whether a file, or a folder that it lies in, was replaced by a link or
// such, which does not count as its removal.
func covered(skipped []string, name string) bool {
	return slices.ContainsFunc(skipped, func(s string) bool { return s == name || strings.HasPrefix(name, s+"/") })
}

// stageFile stores a file if its content has changed.
func (m *Mounted) stageFile(ctx context.Context, one *mount, left runner.Artifacts, file runner.File, masker *redact.Masker) (notice string, err error) {
	source, err := left.Open(file.Name)
	if err != nil {
		return "", err
	}
	defer func() { _ = source.Close() }()
	mounted, known := one.files[file.Name]
	if known {
		same, err := unchanged(source, mounted, one.placed[file.Name])
		if err != nil || same {
			return "", err
		}
	}
	shown := strconv.Quote(strings.ToValidUTF8(masker.String(file.Name), "\uFFFD"))
	switch {
	case masker.String(file.Name) != file.Name:
		return "the file " + shown + " is not written back: its name holds a secret", nil
	case CheckFileName(file.Name) != nil:
		return "the file " + shown + " is not written back: its name is not one for a data pool", nil
	case file.Size > m.service.MaxFile:
		return "", &ConflictError{fmt.Sprintf("the file %s is larger than %d bytes", shown, m.service.MaxFile)}
	}
	key := m.service.newBlob(one.Pool)
	m.made = append(m.made, key)
	info, err := putMasked(ctx, m.service.Blobs, key, source, masker, m.service.MaxFile)
	switch {
	case errors.Is(err, redact.ErrWithheld):
		return "the file " + shown + " is not written back: it is not text and holds a secret", nil
	case errors.Is(err, blob.ErrTooLarge):
		return "", &ConflictError{fmt.Sprintf("the file %s is larger than %d bytes", shown, m.service.MaxFile)}
	case err != nil:
		return "", err
	case known && info.SHA256 == mounted.SHA256:
		return "", nil
	}
	change := m.service.change(one.Pool, file.Name, mounted.ContentType, info)
	change.Based = &mounted.Version
	m.staged = append(m.staged, change)
	return "", nil
}

// putMasked stores a masked copy of a file.
func putMasked(ctx context.Context, blobs blob.Store, key string, source io.ReadSeeker, masker *redact.Masker, limit int64) (blob.Info, error) {
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.CloseWithError(masker.Copy(w, source))
	}()
	info, err := blobs.Put(ctx, key, r, blob.PutOptions{Limit: limit})
	_ = r.CloseWithError(err) // ends the copy
	<-ended
	return info, err
}

// unchanged reports whether a file is as it was mounted. A file that was placed has a time
// in the past, so that each write shows.
func unchanged(source io.ReadSeeker, mounted File, placed fs.FileInfo) (bool, error) {
	if opened, ok := source.(interface{ Stat() (fs.FileInfo, error) }); ok {
		info, err := opened.Stat()
		if err != nil {
			return false, err
		}
		if placed != nil && os.SameFile(info, placed) && info.Size() == placed.Size() && info.ModTime().Equal(placed.ModTime()) {
			return true, nil
		}
		if info.Size() != mounted.Size {
			return false, nil
		}
	}
	hashed := sha256.New()
	if _, err := io.Copy(hashed, source); err != nil {
		return false, err
	}
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return hex.EncodeToString(hashed.Sum(nil)) == mounted.SHA256, nil
}

// Staged are all staged changes, for the store of executions to make with the end of the
// execution; false: there are none. Contents that they replace are removed when the mount
// ends.
func (m *Mounted) Staged() (Changes, bool) {
	return Changes{m.staged, m.service.MaxFiles}, len(m.staged) > 0
}

// Conflict explains why a store has not made the staged changes: a file was changed by
// another caller since it was mounted, or the pool cannot take the files. It returns nil
// for an error of another kind.
func (m *Mounted) Conflict(err error) *ConflictError {
	switch {
	case errors.Is(err, ErrStale):
		return &ConflictError{"another caller has changed a file since it was mounted"}
	case errors.Is(err, access.ErrNotFound):
		return &ConflictError{"the data pool, or a file of it, was deleted meanwhile"}
	case errors.Is(err, access.ErrConflict):
		return &ConflictError{fmt.Sprintf("there would be more than %d files, or a file and a folder of the same name", m.service.MaxFiles)}
	default:
		return nil
	}
}
