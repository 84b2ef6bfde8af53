package datapool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// The defaults of [Options].
const (
	DefaultMaxFile  = 500 << 20
	DefaultMaxFiles = 1000
	DefaultMaxPools = 1000
	// uploadLifetime is how long an upload may take, and maxUploads how many of a
	// pool may go on at once.
	uploadLifetime = 24 * time.Hour
	maxUploads     = 100
	// maxPage is how many pools a list has at most.
	maxPage = 1000
	// sweeps is how often contents without a file are removed.
	sweeps = time.Hour
)

// Options say what a [Service] works with. Store, Blobs, Access and Dir are needed.
type Options struct {
	Store  Store
	Blobs  blob.Store
	Access *access.Service
	// Audit records grants. Nil: they are not recorded.
	Audit audit.Store
	// Dir is a folder for copies of files that executions read. The service empties it.
	Dir string
	// MaxFile bounds a file in bytes, MaxFiles the files of a pool, and MaxPools the
	// pools of a tenant. Zero: the default.
	MaxFile            int64
	MaxFiles, MaxPools int
	// Now is the clock. Nil: the system's.
	Now func() time.Time
	Log *slog.Logger
}

// A Service gives callers the pools that they may use. It is safe for concurrent use.
// Make one with [Open].
type Service struct {
	Options
	stop context.CancelFunc
	done chan struct{}

	mu sync.Mutex
	// pins counts the uses of contents that must not be removed, by their keys.
	pins map[string]int
	// held has what running executions may do, by execution and pool.
	held map[string]map[string]Permission
	// uploading has the uploads that take a piece now.
	uploading map[string]bool
	copies    copies
}

// Open makes a service. Until it is closed, it removes contents that no file has.
func Open(ctx context.Context, o Options) (*Service, error) {
	o.MaxFile = cmp.Or(o.MaxFile, DefaultMaxFile)
	o.MaxFiles, o.MaxPools = cmp.Or(o.MaxFiles, DefaultMaxFiles), cmp.Or(o.MaxPools, DefaultMaxPools)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		Options: o, done: make(chan struct{}), pins: map[string]int{},
		held: map[string]map[string]Permission{}, uploading: map[string]bool{},
	}
	s.copies.init(filepath.Join(o.Dir, copiesDir))
	if err := os.RemoveAll(s.copies.dir); err != nil {
		return nil, fmt.Errorf("open the data pools: %w", err)
	}
	if err := os.MkdirAll(s.copies.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the data pools: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.sweepLoop(background)
	return s, nil
}

// Close ends the work in the background.
func (s *Service) Close() error {
	s.stop()
	<-s.done
	return nil
}

// roles are the least roles for the rights on a pool.
var roles = func() map[access.Right]access.Role {
	least := map[access.Right]access.Role{}
	for right, rule := range access.Table() {
		least[right] = rule.Role
	}
	return least
}()

// reach finds a pool in which a caller has a right.
func (s *Service) reach(ctx context.Context, p access.Principal, id string, right access.Right) (Pool, error) {
	if !p.May(right) {
		return Pool{}, access.ErrForbidden
	}
	pool, err := s.reachable(ctx, p, id)
	if err != nil {
		return Pool{}, err
	}
	if !pool.Role.Includes(roles[right]) || p.Kind == access.Execution && right == access.SharePools {
		return Pool{}, access.ErrForbidden
	}
	return pool, nil
}

// reachable finds a pool with the role that a caller has in it.
func (s *Service) reachable(ctx context.Context, p access.Principal, id string) (Pool, error) {
	switch p.Kind {
	case access.Execution:
		held := s.holds(p.ID, id)
		if held == "" {
			return Pool{}, access.ErrNotFound
		}
		pool, err := s.Store.Pool(ctx, id)
		pool.Role = held.Role()
		return pool, err
	case access.Person:
		pool, err := s.Store.Reachable(ctx, p.Tenant, id, s.Now())
		pool.Role = lower(p.Role, pool.Role)
		return pool, err
	default:
		return Pool{}, access.ErrNotFound
	}
}

// lower is the role of a member in a pool of its tenant, or in one with a share.
func lower(own, shared access.Role) access.Role {
	if shared == "" || shared.Includes(own) {
		return own
	}
	return shared
}

// holds is what an execution may do with a pool; empty: nothing.
func (s *Service) holds(execution, pool string) Permission {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[execution][pool]
}

// Create makes a pool of the caller's tenant.
func (s *Service) Create(ctx context.Context, p access.Principal, pool Pool) (Pool, error) {
	if p.Kind != access.Person || !p.May(access.WritePools) {
		return Pool{}, access.ErrForbidden
	}
	if err := pool.check(); err != nil {
		return Pool{}, err
	}
	audit.Note(ctx, "name", pool.Name)
	pool.ID, pool.Tenant, pool.CreatedAt, pool.Role = uuid.NewString(), p.Tenant, s.Now(), p.Role
	audit.Note(ctx, "dataPool", pool.ID)
	return pool, s.Store.CreatePool(ctx, pool, s.MaxPools)
}

// List returns a page of the pools that the caller can reach, by name, and how many
// there are in all.
func (s *Service) List(ctx context.Context, p access.Principal, limit, offset int) ([]Pool, int, error) {
	if !p.May(access.ReadPools) {
		return nil, 0, access.ErrForbidden
	}
	if limit < 1 || limit > maxPage {
		limit = maxPage
	}
	if p.Kind == access.Execution {
		return s.listHeld(ctx, p.ID, limit, offset)
	}
	pools, total, err := s.Store.List(ctx, Query{Tenant: p.Tenant, Now: s.Now(), Limit: limit, Offset: offset})
	for i := range pools {
		pools[i].Role = lower(p.Role, pools[i].Role)
	}
	return pools, total, err
}

// listHeld lists the pools that an execution was given.
func (s *Service) listHeld(ctx context.Context, execution string, limit, offset int) ([]Pool, int, error) {
	s.mu.Lock()
	held := map[string]Permission{}
	for id, permission := range s.held[execution] {
		held[id] = permission
	}
	s.mu.Unlock()
	pools := []Pool{}
	for id, permission := range held {
		pool, err := s.Store.Pool(ctx, id)
		if errors.Is(err, access.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		pool.Role = permission.Role()
		pools = append(pools, pool)
	}
	sortByName(pools)
	from := min(offset, len(pools))
	return pools[from:min(from+limit, len(pools))], len(pools), nil
}

// Get reads a pool.
func (s *Service) Get(ctx context.Context, p access.Principal, id string) (Pool, error) {
	return s.reach(ctx, p, id, access.ReadPools)
}

// Update changes the name and the texts of a pool.
func (s *Service) Update(ctx context.Context, p access.Principal, changed Pool) (Pool, error) {
	pool, err := s.reach(ctx, p, changed.ID, access.WritePools)
	if err != nil {
		return Pool{}, err
	}
	if strings.TrimSpace(changed.Name) != pool.Name && pool.Tenant != p.Tenant {
		return Pool{}, access.ErrForbidden // others could find out which names its account uses
	}
	pool.Name, pool.ShortDescription, pool.Description, pool.Tags = changed.Name, changed.ShortDescription, changed.Description, changed.Tags
	if err := pool.check(); err != nil {
		return Pool{}, err
	}
	return pool, s.Store.UpdatePool(ctx, pool)
}

// Delete deletes a pool of the caller's tenant with all its files.
func (s *Service) Delete(ctx context.Context, p access.Principal, id string) error {
	pool, err := s.reach(ctx, p, id, access.SharePools)
	if err == nil && pool.Tenant != p.Tenant {
		err = access.ErrForbidden // a share does not end the pool of others
	}
	if err != nil {
		return err
	}
	audit.Note(ctx, "name", pool.Name)
	blobs, err := s.Store.DeletePool(ctx, id)
	if err != nil {
		return err
	}
	for _, key := range blobs {
		s.discard(ctx, key)
	}
	return nil
}

// IssueGrant signs a grant for an application of the caller's tenant. It permits no more
// than the caller may do. An execution needs the permission [Grant] to issue one.
func (s *Service) IssueGrant(ctx context.Context, p access.Principal, pool, application string, permission Permission) (plaintext.Bytes, time.Time, error) {
	right, ok := map[Permission]access.Right{View: access.ReadPools, Modify: access.WritePools, Grant: access.SharePools}[permission]
	if !ok {
		return plaintext.Bytes{}, time.Time{}, invalid("permission: it must be VIEW, MODIFY or GRANT")
	}
	if p.Kind == access.Execution {
		right = access.ReadPools
	}
	found, err := s.reach(ctx, p, pool, right)
	if err == nil && p.Kind == access.Execution && !found.Role.Includes(access.Owner) {
		err = access.ErrForbidden
	}
	if err == nil {
		_, err = s.Access.Store.Application(ctx, p.Tenant, application)
	}
	if err != nil {
		return plaintext.Bytes{}, time.Time{}, err
	}
	audit.Note(ctx, "application", application)
	audit.Note(ctx, "permission", string(permission))
	if err := s.record(ctx); err != nil {
		return plaintext.Bytes{}, time.Time{}, err
	}
	token, grant, err := s.Access.IssueGrant(access.Grant{Pool: pool, Application: application, Permission: string(permission)})
	return token, grant.ExpiresAt, err
}

// record writes the audit entry of a request that changes nothing in the store.
func (s *Service) record(ctx context.Context) error {
	record := audit.From(ctx)
	if record == nil || s.Audit == nil {
		return nil
	}
	entry, _ := record.Entry()
	return s.Audit.Append(ctx, entry)
}
