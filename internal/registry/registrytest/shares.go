package registrytest

import (
	"time"

	"github.com/qhubctl/qhubctl/internal/registry"
)

func shares(f *fixture) {
	a, _ := f.service("t1", "a")
	b, _ := f.service("t1", "b")
	ctx := f.Context()
	until := time.Now().UTC().Add(time.Hour).Truncate(time.Second)
	first, err := f.PutShare(ctx, registry.Share{ID: "1", Service: a.ID, Tenant: "t2", TenantKind: "USER", Role: "VIEWER", ValidUntil: until})
	f.must(err)
	if first.ID != "1" || first.Role != "VIEWER" || !first.ValidUntil.Equal(until) || first.CreatedAt.IsZero() || !first.Active(time.Now()) || first.Active(until) {
		f.Errorf("PutShare = %+v", first)
	}
	again, err := f.PutShare(ctx, registry.Share{ID: "2", Service: a.ID, Tenant: "t2", TenantKind: "USER", Role: "MAINTAINER"})
	f.must(err)
	if again.ID != "1" || again.Role != "MAINTAINER" || !again.ValidUntil.Equal(until) {
		f.Errorf("PutShare again = %+v, want the first with another role", again)
	}
	_, err = f.PutShare(ctx, registry.Share{ID: "3", Service: b.ID, Tenant: "t2", TenantKind: "USER", Role: "VIEWER"})
	f.must(err)
	_, err = f.PutShare(ctx, registry.Share{ID: "4", Service: "none", Tenant: "t2", TenantKind: "USER", Role: "VIEWER"})
	f.wants("PutShare(no service)", err, registry.ErrNotFound)
	changed, err := f.ChangeShare(ctx, a.ID, "1", func(s *registry.Share) error {
		s.ValidFrom, s.ValidUntil = until, time.Time{}
		return nil
	})
	f.must(err)
	if got, err := f.ShareWith(ctx, a.ID, "t2"); err != nil || got != changed || got.Active(time.Now()) {
		f.Errorf("ShareWith = %+v, %v, want %+v", got, err, changed)
	}
	_, err = f.ChangeShare(ctx, b.ID, "1", func(*registry.Share) error { return nil })
	f.wants("ChangeShare(another service)", err, registry.ErrNotFound)
	with, err := f.SharesWith(ctx, "t2")
	f.must(err)
	of, err := f.Shares(ctx, a.ID)
	f.must(err)
	if len(with) != 2 || len(of) != 1 || of[0] != changed {
		f.Errorf("SharesWith = %+v, Shares = %+v", with, of)
	}
	f.wants("DeleteShare(another service)", f.DeleteShare(ctx, b.ID, "1"), registry.ErrNotFound)
	f.must(f.DeleteShare(ctx, a.ID, "1"))
	_, err = f.ShareWith(ctx, a.ID, "t2")
	f.wants("ShareWith after DeleteShare", err, registry.ErrNotFound)
	f.must(f.DeleteService(ctx, b.ID))
	if with, err = f.SharesWith(ctx, "t2"); err != nil || len(with) != 0 {
		f.Errorf("SharesWith after DeleteService = %+v, %v, want none", with, err)
	}
}
