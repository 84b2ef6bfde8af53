// Package registrytest is the suite that every [registry.Store] passes.
package registrytest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/registry"
)

// Run runs the suite. The function opens an empty store.
func Run(t *testing.T, open func(t *testing.T) registry.Store) {
	t.Helper()
	for name, test := range map[string]func(*fixture){
		"Services": services, "NamesAreUniqueInATenant": uniqueNames, "Versions": versions, "Shares": shares, "Builds": builds,
		"ABadRevisionReplacesNothing": badRevision, "AnOlderBuildReplacesNoNewerOne": olderBuild, "Rollback": rollback,
		"ABuildIsNotBegunTwice": begunOnce, "BuildLog": buildLog, "Delete": deletes, "SourcesInUse": sources,
	} {
		t.Run(name, func(t *testing.T) { test(&fixture{t, open(t)}) })
	}
}

type fixture struct {
	*testing.T
	registry.Store
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wants(doing string, err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s = %v, want %v", doing, err, want)
	}
}

// service makes one with a version that has a source.
func (f *fixture) service(tenant, name string) (registry.Service, registry.Version) {
	f.Helper()
	s := registry.Service{ID: uuid.NewString(), Tenant: tenant, Name: name, Texts: registry.Texts{Summary: "about " + name}}
	v := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: "1.0.0", Settings: registry.Settings{Source: "sources/" + name, MemoryMB: 64}}
	f.must(f.CreateService(f.Context(), s, v))
	return s, v
}

func (f *fixture) begin(version string) registry.Revision {
	f.Helper()
	r, begun, err := f.BeginBuild(f.Context(), version, uuid.NewString(), "tester")
	f.must(err)
	if !begun {
		f.Fatal("BeginBuild has begun nothing")
	}
	return r
}

var manifest = &registry.Manifest{Name: "n", Language: "python", Signature: []byte(`{}`)}

// built makes a revision that has succeeded.
func (f *fixture) built(version string) registry.Revision {
	f.Helper()
	r, err := f.FinishBuild(f.Context(), f.begin(version).ID, registry.Outcome{Summary: "good"}, manifest)
	f.must(err)
	return r
}

// reupload gives a version other sources.
func (f *fixture) reupload(version, source string) {
	f.Helper()
	_, err := f.ChangeVersion(f.Context(), version, func(v *registry.Version) error { v.Source = source; return nil })
	f.must(err)
}

func (f *fixture) wantActive(version, revision string) {
	f.Helper()
	v, err := f.Version(f.Context(), version)
	f.must(err)
	if v.Active != revision {
		f.Errorf("the active revision is %q, want %q", v.Active, revision)
	}
}

func services(f *fixture) {
	a, v := f.service("t1", "a")
	got, err := f.Service(f.Context(), a.ID)
	f.must(err)
	if got.Name != "a" || got.Tenant != "t1" || got.Summary != "about a" || time.Since(got.CreatedAt).Abs() > time.Minute {
		f.Errorf("Service = %+v", got)
	}
	named, err := f.ServiceNamed(f.Context(), "t1", "a")
	f.must(err)
	if named.ID != a.ID {
		f.Errorf("ServiceNamed = %s, want %s", named.ID, a.ID)
	}
	_, err = f.ServiceNamed(f.Context(), "t2", "a")
	f.wants("ServiceNamed(another tenant)", err, registry.ErrNotFound)
	_, err = f.Service(f.Context(), v.ID)
	f.wants("Service(no service)", err, registry.ErrNotFound)
	b, _ := f.service("t1", "b")
	c, _ := f.service("t2", "c")
	_, err = f.ChangeService(f.Context(), c.ID, func(s *registry.Service) error {
		s.Publication, s.Description = registry.Public, "long"
		return nil
	})
	f.must(err)
	_, err = f.ChangeService(f.Context(), c.ID, func(s *registry.Service) error { s.Description = "lost"; return registry.ErrInvalid })
	f.wants("ChangeService(an error)", err, registry.ErrInvalid)
	f.wantServices("t1", registry.Page{}, b.ID, a.ID)
	f.wantServices("t1", registry.Page{Limit: 1}, b.ID)
	f.wantServices("t1", registry.Page{Offset: 1}, a.ID)
	f.wantServices("", registry.Page{}, c.ID)
	f.wantServices("t3", registry.Page{})
	if got, err = f.Service(f.Context(), c.ID); err != nil || got.Description != "long" || got.Publication != registry.Public {
		f.Errorf("Service after a change = %+v, %v", got, err)
	}
}

func (f *fixture) wantServices(tenant string, p registry.Page, want ...string) {
	f.Helper()
	list, err := f.Services(f.Context(), tenant, p)
	f.must(err)
	got := make([]string, len(list))
	for i, s := range list {
		got[i] = s.ID
	}
	if !slices.Equal(got, want) {
		f.Errorf("Services(%q, %+v) = %q, want %q", tenant, p, got, want)
	}
}

func uniqueNames(f *fixture) {
	s, v := f.service("t1", "a")
	f.service("t2", "a")
	s.ID, v.ID, v.Service = uuid.NewString(), uuid.NewString(), s.ID
	f.wants("CreateService(a name that is taken)", f.CreateService(f.Context(), s, v), registry.ErrNameTaken)
	_, err := f.Version(f.Context(), v.ID)
	f.wants("Version of a service that was not made", err, registry.ErrNotFound)
}

func versions(f *fixture) {
	s, first := f.service("t", "s")
	second := registry.Version{ID: uuid.NewString(), Service: s.ID, Version: "2.0.0"}
	f.must(f.AddVersion(f.Context(), second))
	f.wants("AddVersion(again)", f.AddVersion(f.Context(), registry.Version{ID: uuid.NewString(), Service: s.ID, Version: "2.0.0"}), registry.ErrNameTaken)
	f.wants("AddVersion(no service)", f.AddVersion(f.Context(), registry.Version{ID: uuid.NewString(), Service: "none", Version: "2.0.0"}), registry.ErrNotFound)
	changed, err := f.ChangeVersion(f.Context(), second.ID, func(v *registry.Version) error {
		v.Environment = map[string]string{"MODE": "fast"}
		return nil
	})
	f.must(err)
	if changed.Environment["MODE"] != "fast" || changed.Version != "2.0.0" {
		f.Errorf("ChangeVersion = %+v", changed)
	}
	f.must(f.AddVersion(f.Context(), registry.Version{ID: "v3", Service: s.ID, Version: "3.0.0"}))
	_, err = f.ChangeVersion(f.Context(), "v3", func(*registry.Version) error { return registry.ErrInvalid })
	f.wants("ChangeVersion(an error)", err, registry.ErrInvalid)
	all, err := f.Versions(f.Context(), s.ID)
	f.must(err)
	if len(all) != 3 || all[0].ID != first.ID || all[0].MemoryMB != 64 || all[1].Environment["MODE"] != "fast" {
		f.Errorf("Versions = %+v", all)
	}
}

func builds(f *fixture) {
	_, v := f.service("t", "s")
	r := f.begin(v.ID)
	if r.Number != 1 || r.State != registry.Working || r.Source != "sources/s" || r.Settings.MemoryMB != 64 || r.By != "tester" || r.Step != registry.Unpacking {
		f.Errorf("BeginBuild = %+v", r)
	}
	f.must(f.SetStep(f.Context(), r.ID, registry.Preparing))
	unfinished, err := f.Unfinished(f.Context())
	f.must(err)
	if len(unfinished) != 1 || unfinished[0].ID != r.ID || unfinished[0].Step != registry.Preparing {
		f.Errorf("Unfinished = %+v", unfinished)
	}
	f.wantActive(v.ID, "")
	done, err := f.FinishBuild(f.Context(), r.ID, registry.Outcome{Summary: "good", Messages: []string{"m"}}, manifest)
	f.must(err)
	if done.State != registry.Succeeded || done.FinishedAt.IsZero() || done.Outcome.Summary != "good" || done.Manifest.Language != "python" {
		f.Errorf("FinishBuild = %+v", done)
	}
	f.wantActive(v.ID, r.ID)
	again, err := f.FinishBuild(f.Context(), r.ID, registry.Outcome{Summary: "bad"}, nil)
	f.must(err)
	if again.State != registry.Succeeded {
		f.Errorf("a build that has ended is %s after a second end", again.State)
	}
	_, _, err = f.BeginBuild(f.Context(), "none", uuid.NewString(), "")
	f.wants("BeginBuild(no version)", err, registry.ErrNotFound)
	f.reupload(v.ID, "")
	_, _, err = f.BeginBuild(f.Context(), v.ID, uuid.NewString(), "")
	f.wants("BeginBuild(no source)", err, registry.ErrInvalid)
}

func badRevision(f *fixture) {
	_, v := f.service("t", "s")
	good := f.built(v.ID)
	bad := f.begin(v.ID)
	_, err := f.FinishBuild(f.Context(), bad.ID, registry.Outcome{Summary: "bad"}, nil)
	f.must(err)
	f.wantActive(v.ID, good.ID)
	_, err = f.Activate(f.Context(), bad.ID)
	f.wants("Activate(a failed revision)", err, registry.ErrNotReady)
	list, err := f.Revisions(f.Context(), v.ID, registry.Page{})
	f.must(err)
	if len(list) != 2 || list[0].ID != bad.ID || list[0].State != registry.Failed || list[0].Outcome.Summary != "bad" {
		f.Errorf("Revisions = %+v", list)
	}
}

func olderBuild(f *fixture) {
	_, v := f.service("t", "s")
	older := f.begin(v.ID)
	f.reupload(v.ID, "sources/other")
	newer := f.built(v.ID)
	_, err := f.FinishBuild(f.Context(), older.ID, registry.Outcome{}, manifest)
	f.must(err)
	f.wantActive(v.ID, newer.ID)
}

func rollback(f *fixture) {
	_, v := f.service("t", "s")
	first, second := f.built(v.ID), f.built(v.ID)
	f.wantActive(v.ID, second.ID)
	_, err := f.Activate(f.Context(), first.ID)
	f.must(err)
	f.wantActive(v.ID, first.ID)
	third := f.built(v.ID)
	f.wantActive(v.ID, third.ID)
}

func begunOnce(f *fixture) {
	_, v := f.service("t", "s")
	r := f.begin(v.ID)
	same, begun, err := f.BeginBuild(f.Context(), v.ID, uuid.NewString(), "")
	f.must(err)
	if begun || same.ID != r.ID {
		f.Errorf("BeginBuild while the same is built = %s, %t; want %s, false", same.ID, begun, r.ID)
	}
	f.reupload(v.ID, "sources/other")
	if other := f.begin(v.ID); other.Number != 2 || other.Source != "sources/other" {
		f.Errorf("BeginBuild of other sources = %+v", other)
	}
}

func buildLog(f *fixture) {
	_, v := f.service("t", "s")
	r := f.begin(v.ID)
	at := time.Unix(1_700_000_000, 0).UTC()
	f.must(f.AppendBuildLog(f.Context(), r.ID, []registry.LogLine{{Severity: "INFO", Time: at, Message: "one"}, {Severity: "ERROR", Time: at, Message: "two"}}))
	f.must(f.AppendBuildLog(f.Context(), r.ID, []registry.LogLine{{Severity: "INFO", Time: at, Message: "three"}}))
	lines, err := f.BuildLog(f.Context(), r.ID, 1, 10)
	f.must(err)
	want := []registry.LogLine{
		{Sequence: 2, Severity: "ERROR", Time: at, Message: "two"}, {Sequence: 3, Severity: "INFO", Time: at, Message: "three"},
	}
	if !slices.Equal(lines, want) {
		f.Errorf("BuildLog = %+v, want %+v", lines, want)
	}
	f.wants("AppendBuildLog(no build)", f.AppendBuildLog(f.Context(), "none", nil), registry.ErrNotFound)
}

func deletes(f *fixture) {
	s, v := f.service("t", "s")
	r := f.built(v.ID)
	f.must(f.AppendBuildLog(f.Context(), r.ID, []registry.LogLine{{Severity: "INFO", Message: "one"}}))
	f.must(f.DeleteService(f.Context(), s.ID))
	_, err := f.Service(f.Context(), s.ID)
	f.wants("Service after DeleteService", err, registry.ErrNotFound)
	_, err = f.Version(f.Context(), v.ID)
	f.wants("Version after DeleteService", err, registry.ErrNotFound)
	_, err = f.Revision(f.Context(), r.ID)
	f.wants("Revision after DeleteService", err, registry.ErrNotFound)
	if lines, err := f.BuildLog(f.Context(), r.ID, 0, 10); err != nil || len(lines) > 0 {
		f.Errorf("BuildLog after DeleteService = %v, %v", lines, err)
	}
	f.wants("DeleteService again", f.DeleteService(f.Context(), s.ID), registry.ErrNotFound)
	f.service("t", "s")
}

func sources(f *fixture) {
	s, v := f.service("t", "s")
	f.begin(v.ID)
	f.reupload(v.ID, "sources/second")
	for key, want := range map[string]bool{"sources/s": true, "sources/second": true, "sources/third": false} {
		if used, err := f.SourceInUse(f.Context(), key); err != nil || used != want {
			f.Errorf("SourceInUse(%q) = %t, %v; want %t", key, used, err, want)
		}
	}
	f.must(f.DeleteService(f.Context(), s.ID))
	if used, err := f.SourceInUse(f.Context(), "sources/s"); err != nil || used {
		f.Errorf("SourceInUse after DeleteService = %t, %v; want false", used, err)
	}
}
