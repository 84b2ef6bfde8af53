package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
)

// many is how many services a platform has that is measured.
const many = 1000

// TestManyServices starts a platform with a thousand services, each of which can be
// found, and one of which is called. Idle ones cost neither time nor memory.
func TestManyServices(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	owner := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+s.id, nil, http.StatusOK).text("serviceDefinitions", "context")
	alone := p.heap()
	p.stop()
	addServices(t, databaseOf(p.dir), owner, s)
	begun := time.Now()
	p = start(t, p.dir)
	if took := time.Since(begun); took > 10*time.Second { // 0.1 s on an idle machine
		t.Errorf("with %d services the platform starts in %s, want 2 s", many, took)
	}
	if list, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)["list"].([]any); len(list) != many {
		t.Errorf("GET /services = %d services, want %d", len(list), many)
	}
	if grown := p.heap() - alone; grown > many*10<<10 {
		t.Errorf("%d idle services cost %d bytes, want at most 10 KiB each", many, grown)
	}
	endpoint := p.url + s.path()
	if result := p.run(p.owner, endpoint, document{"name": "you"}); result.text("hello") != "you" {
		t.Errorf("the result is %v", result)
	}
}

// heap is how much memory is in use.
func (p *platform) heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// addServices adds services like one that was built, to a database that no server has
// open.
func addServices(t testing.TB, path, tenant string, like deployed) {
	t.Helper()
	ctx := context.Background()
	db, err := sqlitetest.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	built, err := db.Revision(ctx, like.revision)
	for i := 1; i < many && err == nil; i++ {
		service := registry.Service{ID: uuid.NewString(), Tenant: tenant, Name: fmt.Sprintf("service-%d", i)}
		version := registry.Version{ID: uuid.NewString(), Service: service.ID, Version: "1.0.0", Settings: registry.Settings{Source: built.Source}}
		err = db.CreateService(ctx, service, version)
		var begun registry.Revision
		if err == nil {
			begun, _, err = db.BeginBuild(ctx, version.ID, uuid.NewString(), "")
		}
		if err == nil {
			_, err = db.FinishBuild(ctx, begun.ID, registry.Outcome{}, built.Manifest)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkGateway measures a POST to one of a thousand services, and to the only one.
func BenchmarkGateway(b *testing.B) {
	for _, services := range []int{1, many} {
		b.Run(fmt.Sprintf("services=%d", services), func(b *testing.B) {
			p := start(b, filepath.Join(b.TempDir(), "data"))
			s := p.deploy("greeter", "1.0.0", greeter(b, "hello"), "SUCCESS")
			if services > 1 {
				owner := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+s.id, nil, http.StatusOK).text("serviceDefinitions", "context")
				p.stop()
				addServices(b, databaseOf(p.dir), owner, s)
				p = start(b, p.dir)
			}
			p.run(p.owner, p.url+s.path(), document{"name": "you"})
			for b.Loop() {
				p.call(p.owner, http.MethodPost, p.url+s.path(), document{"name": "you"}, http.StatusCreated)
			}
		})
	}
}
