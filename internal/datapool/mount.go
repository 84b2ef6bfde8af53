package datapool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
)

// A RefusedError says why an execution may not use a pool, in words for the caller.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

var (
	errNoPool       = &RefusedError{"there is no such data pool, or not for this caller"}
	errNoGrant      = &RefusedError{"an application needs a grant for the data pool: ask for one at /datapools/{id}/grants"}
	errBadGrant     = &RefusedError{"the grant is not valid, or has expired: ask for a new one"}
	errOtherPool    = &RefusedError{"the grant is for another data pool"}
	errOtherGrantee = &RefusedError{"the grant is for another application"}
	errNoRight      = &RefusedError{"the caller may not read data pools"}
)

// Admit says what an execution that a caller starts may do with a pool. An application
// shows a grant. A member passes on its own right, up to [Modify]; and an execution what
// it was given. A [*RefusedError] says why it may do nothing.
func (s *Service) Admit(ctx context.Context, p access.Principal, pool, grant string) (Permission, error) {
	if grant != "" {
		return s.admitGrant(ctx, p, pool, grant)
	}
	if p.Kind == access.Application {
		return "", errNoGrant
	}
	found, err := s.reach(ctx, p, pool, access.ReadPools)
	switch {
	case errors.Is(err, access.ErrNotFound):
		return "", errNoPool
	case errors.Is(err, access.ErrForbidden):
		return "", errNoRight
	case err != nil:
		return "", err
	case p.Kind == access.Execution:
		if held := s.holds(p.ID, pool); held != "" {
			return held, nil
		}
		return "", errNoPool // its execution has just ended
	case p.May(access.WritePools) && found.Role.Includes(access.Maintainer):
		return Modify, nil
	default:
		return View, nil
	}
}

func (s *Service) admitGrant(ctx context.Context, p access.Principal, pool, token string) (Permission, error) {
	grant, err := s.Access.OpenGrant(token)
	permission := Permission(grant.Permission)
	switch {
	case err != nil || !permission.Role().Valid():
		return "", errBadGrant
	case grant.Pool != pool:
		return "", errOtherPool
	case p.Kind != access.Application || grant.Application != p.ID:
		return "", errOtherGrantee
	}
	if _, err := s.Store.Pool(ctx, pool); errors.Is(err, access.ErrNotFound) {
		return "", errNoPool
	} else if err != nil {
		return "", err
	}
	return permission, nil
}

// A Want is a pool for an execution, as it was admitted.
type Want struct {
	Pool       string
	Permission Permission
}

// Mounted are the pools of one execution.
type Mounted struct {
	service   *Service
	execution string
	pools     map[string]*mount // by parameter
	staged    []Change
	made      []string // keys of staged contents
}

// A mount is a pool of an execution, in the versions that the pool had when it started.
type mount struct {
	Want
	files  map[string]File // by name
	placed map[string]fs.FileInfo
	size   int64
}

// Mount gives an execution its pools, by parameter, until it is closed. Until then
// its token has their permissions, too. [*RefusedError]: a pool is not there any more.
func (s *Service) Mount(ctx context.Context, execution string, wants map[string]Want) (*Mounted, error) {
	m := &Mounted{service: s, execution: execution, pools: map[string]*mount{}}
	for parameter, want := range wants {
		if !want.Permission.Role().Valid() {
			m.Close()
			return nil, errNoRight
		}
		one := &mount{Want: want, files: map[string]File{}, placed: map[string]fs.FileInfo{}}
		m.pools[parameter] = one
		if err := one.load(ctx, s); err != nil {
			m.Close()
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held := map[string]Permission{}
	for _, one := range m.pools {
		if one.Permission.Includes(held[one.Pool]) || held[one.Pool] == "" {
			held[one.Pool] = one.Permission
		}
	}
	s.held[execution] = held
	return m, nil
}

// load reads the list of files, whose contents stay until the mount is closed.
func (m *mount) load(ctx context.Context, s *Service) error {
	_, err := s.Store.Pool(ctx, m.Pool)
	if errors.Is(err, access.ErrNotFound) {
		return &RefusedError{"it is not there any more"}
	}
	if err != nil {
		return err
	}
	const attempts = 5 // a file may be replaced before its content is pinned
	for range attempts {
		files, err := s.Store.Files(ctx, m.Pool)
		if err != nil {
			return err
		}
		m.release(s)
		for _, file := range files {
			m.files[file.Name] = file
			m.size += file.Size
			s.pin(file.Blob)
		}
		again, err := s.Store.Files(ctx, m.Pool)
		if err != nil {
			return err
		}
		if m.same(again) {
			return nil
		}
	}
	return fmt.Errorf("data pool %s changes all the time", m.Pool)
}

// same reports whether files are those of the mount. Then all contents were there after
// they had been pinned.
func (m *mount) same(files []File) bool {
	for _, file := range files {
		if m.files[file.Name].Blob != file.Blob {
			return false
		}
	}
	return len(files) == len(m.files)
}

func (m *mount) release(s *Service) {
	for _, file := range m.files {
		s.unpin(file.Blob)
	}
	m.files, m.size = map[string]File{}, 0
}

// Writable reports whether the execution may change the files of a parameter.
func (m *Mounted) Writable(parameter string) bool {
	return m.pools[parameter].Permission.Includes(Modify)
}

// Size is the length of all files of a parameter.
func (m *Mounted) Size(parameter string) int64 { return m.pools[parameter].size }

// Parameters are those with a pool.
func (m *Mounted) Parameters() []string {
	all := make([]string, 0, len(m.pools))
	for parameter := range m.pools {
		all = append(all, parameter)
	}
	return all
}

// folderMode lets all users read a folder.
const folderMode = 0o755

// Place puts the files of a parameter into a folder, which is empty. All users may read
// them. They have the time at which they came into the pool.
func (m *Mounted) Place(ctx context.Context, parameter, dir string) error {
	one := m.pools[parameter]
	if err := os.Chmod(dir, folderMode); err != nil {
		return fmt.Errorf("place a data pool: %w", err)
	}
	for name, file := range one.files {
		err := makeFolders(dir, name)
		if err == nil {
			err = m.placeFile(ctx, one, file, filepath.Join(dir, filepath.FromSlash(name)))
		}
		if err != nil {
			return fmt.Errorf("place file %s of data pool %s: %w", file.ID, one.Pool, err)
		}
	}
	return nil
}

// makeFolders makes the folders of a file. The umask does not count.
func makeFolders(dir, name string) error {
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		dir = filepath.Join(dir, part)
		err := os.Mkdir(dir, folderMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = os.Chmod(dir, folderMode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *Mounted) placeFile(ctx context.Context, one *mount, file File, path string) error {
	if !one.Permission.Includes(Modify) {
		return m.service.copies.link(ctx, m.service.Blobs, file, path)
	}
	if err := write(ctx, m.service.Blobs, file, path, 0o644); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	one.placed[file.Name] = info
	return err
}

// Close ends the mounts. Contents that were replaced meanwhile can be removed then.
func (m *Mounted) Close() {
	s := m.service
	s.mu.Lock()
	delete(s.held, m.execution)
	s.mu.Unlock()
	for _, one := range m.pools {
		files := one.files
		one.release(s)
		for _, file := range files { // some may be replaced by now
			if used, err := s.Store.BlobUsed(context.Background(), file.Blob); err == nil && !used {
				s.discard(context.Background(), file.Blob)
			}
		}
	}
	for _, key := range m.made { // unless they were committed
		s.unpin(key)
		if used, err := s.Store.BlobUsed(context.Background(), key); err == nil && !used {
			s.discard(context.Background(), key)
		}
	}
	m.pools, m.made = map[string]*mount{}, nil
}
