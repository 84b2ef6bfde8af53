package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Adoption describes what a platform takes over.
type Adoption struct {
	// From is the folder of another server, with its key.
	From    string
	FromKey vault.KeySource
	// Dir is the data folder of the platform, which does not run, with its key.
	Dir string
	Key vault.KeySource
	// Service is the service that the executions are of: its name in the account of the
	// owner, or its id, and a version of it after an @.
	Service string
}

// ErrRuns says that a server must be stopped first.
var ErrRuns = errors.New("a server runs")

// Adopt takes the executions of another server over, such as one of `qhubctl serve`: with
// their requests, sealed secrets, tags, logs and results. The other folder stays unchanged.
func Adopt(ctx context.Context, a Adoption) (adopted server.Adopted, err error) {
	for _, dir := range []string{a.From, a.Dir} {
		if used, err := engine.InUse(dir); err != nil || used {
			return adopted, errors.Join(fmt.Errorf("%w with %s; stop it first", ErrRuns, dir), err)
		}
	}
	scratch, err := os.MkdirTemp(a.Dir, "import-")
	if err != nil {
		return adopted, fmt.Errorf("take executions over: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	source := filepath.Join(scratch, server.DatabaseName)
	if err := server.CopyDatabase(ctx, filepath.Join(a.From, server.DatabaseName), source); err != nil {
		return adopted, err
	}
	if err := upgrade(ctx, scratch); err != nil {
		return adopted, err
	}
	into, err := a.target(ctx)
	if err != nil {
		return adopted, err
	}
	from, err := a.FromKey.Read(ctx)
	if err != nil {
		return adopted, &server.MasterKeyError{Err: err}
	}
	defer from.Clear()
	to, err := a.Key.Read(ctx)
	if err != nil {
		return adopted, &server.MasterKeyError{Err: err}
	}
	defer to.Clear()
	into.Reseal = func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, error) {
		secrets, err := from.Open(owner, sealed)
		if err != nil {
			return nil, err
		}
		defer secrets.Clear()
		return to.Seal(owner, secrets)
	}
	return server.AdoptExecutions(ctx, filepath.Join(a.Dir, server.DatabaseName), source, into, func(ids []execution.ID) error {
		return copyResults(ctx, a.From, a.Dir, ids)
	})
}

// upgrade brings the copy of a database up to date.
func upgrade(ctx context.Context, dir string) error {
	db, err := server.OpenStore(ctx, dir, server.StoreOptions{})
	if err != nil {
		return err
	}
	return db.Close()
}

// target finds the version that executions become those of.
func (a Adoption) target(ctx context.Context) (into server.Adoption, err error) {
	db, err := server.OpenStore(ctx, a.Dir, server.StoreOptions{})
	if err != nil {
		return into, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	name, version, one := strings.Cut(a.Service, "@")
	s, err := db.Service(ctx, name)
	if errors.Is(err, registry.ErrNotFound) {
		owner, ownerErr := db.Access().UserByName(ctx, ownerName)
		if ownerErr != nil {
			return into, ownerErr
		}
		s, err = db.ServiceNamed(ctx, owner.ID, name)
	}
	if err != nil {
		return into, fmt.Errorf("find the service %s: %w", name, err)
	}
	versions, err := db.Versions(ctx, s.ID)
	if err != nil {
		return into, err
	}
	v, ok := registry.Latest(versions)
	if one {
		v, ok = pick(versions, version)
	}
	if !ok || v.Active == "" {
		return into, fmt.Errorf("%w: the service %s has no such version that was built", registry.ErrNotReady, a.Service)
	}
	return server.Adoption{Service: v.ID, Revision: v.Active, Tenant: s.Tenant}, nil
}

// copyResults copies the folders of results. They are durable before the executions that
// have them are.
func copyResults(ctx context.Context, from, to string, ids []execution.ID) error {
	for _, id := range ids {
		source := filepath.Join(from, engine.ResultsDir, id.String())
		if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		target := filepath.Join(to, engine.ResultsDir, id.String())
		if err := errors.Join(ctx.Err(), os.RemoveAll(target)); err != nil { // of an import that was cut
			return err
		}
		if err := os.CopyFS(target, os.DirFS(source)); err != nil {
			return fmt.Errorf("copy the result of execution %s: %w", id, err)
		}
		if err := syncTree(target); err != nil {
			return err
		}
	}
	return nil
}

// syncTree has files and their names survive a power failure.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := os.Open(path) //nolint:gosec // the data folder is private
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
