package devserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const (
	// maxLinks is how many links an error about a data pool names. maxPooled is how
	// many names in a pool are checked.
	maxLinks  = 5
	maxPooled = 20_000
	// poolTime is how long the result of a check of a data pool is reused.
	poolTime = 5 * time.Second
)

// pools resolves the data pools of a service whose executions run in a sandbox.
type pools struct {
	service *service

	mu      sync.Mutex
	checked map[string]poolCheck
}

type poolCheck struct {
	at  time.Time
	err error
}

func newPools(s *service) *pools { return &pools{service: s, checked: map[string]poolCheck{}} }

var _ engine.DataPoolResolver = (*pools)(nil)

// Has implements [engine.DataPoolResolver].
func (p *pools) Has(_ context.Context, parameter signature.Parameter) (bool, error) {
	return p.service.Workspace.DataPool(parameter.Name) != "", nil
}

// Resolve implements [engine.DataPoolResolver]. It follows a data pool that is a link.
// It fails if executions could not see everything in the pool. It ignores references,
// as a workspace has its own pools.
func (p *pools) Resolve(_ context.Context, parameter signature.Parameter, _ *signature.DataPoolReference) (string, error) {
	dir, err := p.find(parameter.Name)
	if err != nil {
		return "", &engine.PoolError{Reason: err.Error()}
	}
	return dir, nil
}

func (p *pools) find(parameter string) (string, error) {
	dir := p.service.Workspace.DataPool(parameter)
	if dir == "" {
		return "", nil
	}
	target, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("cannot find the data pool: %w", err)
	}
	if p.service.snapshot == nil {
		return target, nil
	}
	if !p.service.showsPool(target) {
		return "", errors.New("executions cannot see the data pool")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	check, known := p.checked[target]
	if !known || time.Since(check.at) > poolTime {
		check = poolCheck{time.Now(), p.leadOut(target)}
		p.checked[target] = check
	}
	return target, check.err
}

// leadOut returns an error that names the links in a data pool whose targets executions
// cannot see.
func (p *pools) leadOut(pool string) error {
	var links []string
	looked := 0
	_ = filepath.WalkDir(pool, func(path string, entry fs.DirEntry, err error) error {
		if looked++; looked > maxPooled || len(links) > maxLinks {
			return fs.SkipAll
		}
		if err == nil && entry.Type()&fs.ModeSymlink != 0 && p.leadsOut(pool, path) {
			links = append(links, strings.TrimPrefix(path, pool+"/"))
		}
		return nil
	})
	if len(links) == 0 {
		return nil
	}
	more := ""
	if len(links) > maxLinks {
		links, more = links[:maxLinks], " and others"
	}
	return fmt.Errorf("the data pool holds links to files that executions cannot see: %s%s; put the files into it", strings.Join(links, ", "), more)
}

func (p *pools) leadsOut(pool, link string) bool {
	target, err := filepath.EvalSymlinks(link)
	return err == nil && !p.sees(pool, target)
}

// sees reports whether executions that see a data pool also see a path.
func (p *pools) sees(pool, path string) bool {
	if _, ok := workspace.Inside(pool, path); ok || p.service.confinement.Sandbox == nil {
		return true
	}
	if inside, ok := workspace.Inside(p.service.Workspace.Dir, path); ok {
		_, err := os.Lstat(filepath.Join(p.service.snapshot.Dir, inside))
		return err == nil
	}
	return slices.ContainsFunc(slices.Concat(sandbox.SystemFolders(), p.service.confinement.Sandbox.Policy.Readable), func(dir string) bool {
		_, ok := workspace.Inside(dir, path)
		return ok
	})
}
