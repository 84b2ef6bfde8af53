package secretstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A fixture is a service over a real store, with two accounts: one owns the service, and
// both have an application that is subscribed to it.
type fixture struct {
	testing.TB
	*secretstore.Service
	db      *sqlite.Store
	path    string
	ring    *vault.Keyring
	advance atomic.Int64

	owner, stranger, viewer access.Principal
	app, foreign            access.Principal // applications
	service, other          string           // ids of services of the owner
	declared                []signature.Parameter
	environment             []string
}

// Owner implements [secretstore.Services].
func (f *fixture) Owner(ctx context.Context, service string) (string, error) {
	found, err := f.db.Service(ctx, service)
	if errors.Is(err, registry.ErrNotFound) {
		err = access.ErrNotFound
	}
	return found.Tenant, err
}

// Parameters implements [secretstore.Services].
func (f *fixture) Parameters(context.Context, string) ([]signature.Parameter, []string, error) {
	return f.declared, f.environment, nil
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

func rightsOf(role access.Role) (rights []access.Right) {
	for right, rule := range access.Table() {
		if role.Includes(rule.Role) {
			rights = append(rights, right)
		}
	}
	return rights
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, path: filepath.Join(t.TempDir(), "store.db")}
	var err error
	f.ring, err = vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.must(err)
	f.db, err = sqlitetest.Open(t.Context(), f.path, sqlite.Options{})
	f.must(err)
	t.Cleanup(func() { f.must(f.db.Close()) })
	identity, err := access.Open(t.Context(), access.Options{Store: f.db.Access(), Keyring: f.ring})
	f.must(err)
	t.Cleanup(func() { f.must(identity.Close()) })
	f.Service = secretstore.Open(t.Context(), secretstore.Options{
		Store: f.db.Secrets(), Keyring: f.ring, Access: identity, Services: f,
		Now: func() time.Time { return time.Now().Add(time.Duration(f.advance.Load())) },
	})
	t.Cleanup(func() { f.must(f.Close()) })
	user := func(name string) access.Principal {
		u := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: name, DisplayName: name, CreatedAt: time.Now()}
		f.must(f.db.Access().CreateUser(t.Context(), u))
		return access.Principal{Kind: access.Person, ID: u.ID, Tenant: u.ID, Role: access.Owner, Rights: rightsOf(access.Owner)}
	}
	f.owner, f.stranger = user("owner"), user("stranger")
	f.viewer = f.owner
	f.viewer.Role, f.viewer.Rights = access.Viewer, rightsOf(access.Viewer)
	f.service, f.other = f.made("service"), f.made("other")
	application := func(p access.Principal) access.Principal {
		app, err := identity.CreateApplication(t.Context(), p, "app")
		f.must(err)
		_, err = identity.Subscribe(t.Context(), p, app.ID, f.service)
		f.must(err)
		return access.Principal{Kind: access.Application, ID: app.ID, Tenant: p.Tenant, Application: app.ID}
	}
	f.app, f.foreign = application(f.owner), application(f.stranger)
	return f
}

// made makes a service of the owner.
func (f *fixture) made(name string) string {
	f.Helper()
	s := registry.Service{ID: uuid.NewString(), Tenant: f.owner.Tenant, Name: name, CreatedAt: time.Now()}
	f.must(f.db.CreateService(f.Context(), s, registry.Version{ID: uuid.NewString(), Service: s.ID, Version: "1.0.0", CreatedAt: time.Now()}))
	return s.ID
}

func (f *fixture) set(p access.Principal, a secretstore.Address, name, value string) {
	f.Helper()
	_, err := f.Set(f.Context(), p, a, name, secretstore.Value{Secret: plaintext.FromString(value)})
	f.must(err)
}

// gets are the values that an execution of a caller gets.
func (f *fixture) gets(p access.Principal, service string) map[string]string {
	f.Helper()
	offered, err := f.Offer(f.Context(), p, service)
	f.must(err)
	pins := map[string]int64{}
	for name, c := range offered {
		pins[name] = c.Pin
	}
	opened, err := f.OpenPinned(f.Context(), pins)
	f.NoteUse("execution", pins)
	f.must(err)
	values := map[string]string{}
	for name, o := range opened {
		values[name] = string(o.Value.Reveal())
		o.Value.Clear()
	}
	return values
}

// TestPrecedence sets secrets at any of the places, for many combinations, and compares
// what each caller gets with the rule.
func TestPrecedence(t *testing.T) {
	f := newFixture(t)
	random := rand.New(rand.NewPCG(3, 0))
	places := []struct {
		name   string
		holder access.Principal
		a      secretstore.Address
	}{
		{"of the account", f.owner, secretstore.Address{}},
		{"of the service", f.owner, secretstore.Address{Service: f.service}},
		{"of the subscription", f.owner, secretstore.Address{Service: f.service, Application: f.app.ID}},
		{"of the foreign subscription", f.stranger, secretstore.Address{Service: f.service, Application: f.foreign.ID}},
	}
	has := map[string]map[string]bool{}
	names := []string{"a", "b", "c"}
	for _, p := range places {
		has[p.name] = map[string]bool{}
	}
	for range 60 {
		p, name := places[random.IntN(len(places))], names[random.IntN(len(names))]
		if has[p.name][name] && random.IntN(2) == 0 {
			f.must(f.Delete(t.Context(), p.holder, p.a, name, 0))
			has[p.name][name] = false
		} else {
			f.set(p.holder, p.a, name, name+" "+p.name)
			has[p.name][name] = true
			if p.a == (secretstore.Address{}) {
				f.must(f.Bind(t.Context(), f.owner, name, secretstore.Binding{Service: f.service, Parameter: name}))
			}
		}
		running := access.Principal{Kind: access.Execution, ID: "run", Tenant: f.owner.Tenant, Application: f.app.ID}
		for caller, order := range map[*access.Principal][]string{
			&f.app: {"of the subscription", "of the service", "of the account"}, &f.foreign: {"of the foreign subscription", "of the service", "of the account"},
			&f.owner: {"of the service", "of the account"}, &running: {"of the service", "of the account"},
		} {
			want := map[string]string{}
			for _, name := range names {
				if at := slices.IndexFunc(order, func(place string) bool { return has[place][name] }); at >= 0 {
					want[name] = name + " " + order[at]
				}
			}
			if got := f.gets(*caller, f.service); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("a caller of the kind %s gets %v, want %v", caller.Kind, got, want)
			}
		}
		if got := f.gets(f.owner, f.other); len(got) != 0 {
			t.Fatalf("another service gets %v, want none", got)
		}
	}
}

// TestOverrides compares the callers that may replace a secret with the rule.
func TestOverrides(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		override    secretstore.Override
		own, others bool
	}{{secretstore.OverrideNone, false, false}, {secretstore.OverrideOwn, true, false}, {secretstore.OverrideAny, true, true}, {"", false, false}} {
		if c.override.Allows("a", "a") != c.own || c.override.Allows("b", "a") != c.others || c.override.Allows("", "") && c.override != secretstore.OverrideAny {
			t.Errorf("%q allows %t %t %t, want %t %t", c.override, c.override.Allows("a", "a"), c.override.Allows("b", "a"), c.override.Allows("", ""), c.own, c.others)
		}
	}
}

// TestMovedValuesDoNotOpen moves sealed values between rows, and rows between places, as an
// attacker with the database can.
func TestMovedValuesDoNotOpen(t *testing.T) {
	if os.Getenv(postgrestest.Variable) != "" {
		t.Skip("this test changes a database in a file")
	}
	f := newFixture(t)
	f.set(f.owner, secretstore.Address{Service: f.service}, "a", "one")
	f.set(f.owner, secretstore.Address{Service: f.service}, "b", "two")
	f.set(f.owner, secretstore.Address{Service: f.service, Application: f.app.ID}, "a", "three")
	f.set(f.stranger, secretstore.Address{}, "a", "four")
	for _, change := range []string{
		`UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE seq = 2) WHERE seq = 1`,
		`UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE seq = 2), id = (SELECT id FROM secret_versions WHERE seq = 2) WHERE seq = 1`,
		`UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE seq = 4), id = (SELECT id FROM secret_versions WHERE seq = 4) WHERE seq = 1`,
		`UPDATE secrets SET name = 'c' WHERE seq = 1`,
		`UPDATE secrets SET service_id = '` + f.other + `' WHERE seq = 1`,
		`UPDATE secrets SET tenant_id = '` + f.stranger.Tenant + `' WHERE seq = 1`,
		`UPDATE secrets SET kind = 'TENANT' WHERE seq = 1`,
		`UPDATE secret_versions SET id = 'x' WHERE seq = 1`,
		`UPDATE secret_versions SET secret_seq = 2, number = 7 WHERE seq = 1`,
		`UPDATE secret_versions SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB) WHERE seq = 1`,
		`UPDATE secrets SET subscription_id = '' , service_id = '' WHERE seq = 3`,
	} {
		f.changed(change, func() {
			broken := 0
			for _, pin := range []int64{1, 3} {
				if _, err := f.OpenPinned(f.Context(), map[string]int64{"a": pin}); errors.Is(err, vault.ErrTampered) {
					broken++
				} else if err != nil {
					f.Errorf("after %q OpenPinned = %v, want %v", change, err, vault.ErrTampered)
				}
			}
			if broken != 1 {
				f.Errorf("after %q %d of the values are refused, want 1", change, broken)
			}
			use, err := store.FindKeyUse(f.Context(), f.db, f.ring)
			f.must(err)
			if len(use.Damaged) == 0 && !strings.Contains(change, "substr") { // it opens no value
				f.Errorf("after %q FindKeyUse finds no damage", change)
			}
		})
	}
}

// changed runs a test with a changed database, and puts the former rows back.
func (f *fixture) changed(change string, run func()) {
	f.Helper()
	db, err := sql.Open("sqlite", f.path+"?_pragma=busy_timeout(30000)")
	f.must(err)
	defer func() { f.must(db.Close()) }()
	db.SetMaxOpenConns(1)
	exec := func(query string) {
		f.Helper()
		_, err := db.ExecContext(f.Context(), query)
		f.must(err)
	}
	for _, table := range []string{"secrets", "secret_versions"} {
		exec("CREATE TABLE former_" + table + " AS SELECT * FROM " + table)
	}
	exec(change)
	run()
	for _, table := range []string{"secrets", "secret_versions"} {
		exec("INSERT OR REPLACE INTO " + table + " SELECT * FROM former_" + table)
		exec("DROP TABLE former_" + table)
	}
}

// TestRefusals has callers do what they may not, and give values that no process can have.
func TestRefusals(t *testing.T) {
	f := newFixture(t)
	of := secretstore.Address{Service: f.service}
	f.set(f.owner, of, "a", "one")
	good := secretstore.Value{Secret: plaintext.FromString("good")}
	set := func(p access.Principal, a secretstore.Address, name string, v secretstore.Value) error {
		_, err := f.Set(f.Context(), p, a, name, v)
		return err
	}
	for doing, c := range map[string]struct{ got, want error }{
		"Set by a viewer":                         {set(f.viewer, of, "a", good), access.ErrForbidden},
		"Set by an application":                   {set(f.app, of, "a", good), access.ErrForbidden},
		"Set by nobody":                           {set(access.Principal{}, of, "a", good), access.ErrForbidden},
		"Set of a foreign service":                {set(f.stranger, of, "a", good), access.ErrNotFound},
		"Set of a foreign application":            {set(f.stranger, secretstore.Address{Service: f.service, Application: f.app.ID}, "a", good), access.ErrNotFound},
		"Set of an application alone":             {set(f.owner, secretstore.Address{Application: f.app.ID}, "a", good), access.ErrInvalid},
		"Set of a service without a subscription": {set(f.owner, secretstore.Address{Service: f.other, Application: f.app.ID}, "a", good), access.ErrNotFound},
		"Set of no service":                       {set(f.owner, secretstore.Address{Service: "none"}, "a", good), access.ErrNotFound},
		"Set of a bad name":                       {set(f.owner, of, "a/b", good), access.ErrInvalid},
		"Set of an account with a bad name":       {set(f.owner, secretstore.Address{}, "a b", good), access.ErrInvalid},
		"Set with a NUL":                          {set(f.owner, of, "a", secretstore.Value{Secret: plaintext.FromString("secret\x00value")}), access.ErrInvalid},
		"Set of no UTF-8":                         {set(f.owner, of, "a", secretstore.Value{Secret: plaintext.FromString("secret\xffvalue")}), access.ErrInvalid},
		"Set of 65 KiB":                           {set(f.owner, of, "a", secretstore.Value{Secret: plaintext.FromString(strings.Repeat("x", 65<<10))}), access.ErrInvalid},
		"Set that has expired":                    {set(f.owner, of, "a", secretstore.Value{Secret: good.Secret, ExpiresAt: time.Now().Add(-time.Second)}), access.ErrInvalid},
		"Set that is kept for 31 days":            {set(f.owner, of, "a", secretstore.Value{Secret: good.Secret, Keep: 31 * 24 * time.Hour}), access.ErrInvalid},
		"Set with an unknown override":            {set(f.owner, of, "a", secretstore.Value{Secret: good.Secret, Override: "SOME"}), access.ErrInvalid},
		"Delete by a viewer":                      {f.Delete(f.Context(), f.viewer, of, "a", 0), access.ErrForbidden},
		"Delete of a foreign secret":              {f.Delete(f.Context(), f.stranger, of, "a", 0), access.ErrNotFound},
		"Bind of a foreign service":               {f.Bind(f.Context(), f.stranger, "x", secretstore.Binding{Service: f.service, Parameter: "a"}), access.ErrNotFound},
		"Import of nothing":                       {f.Import(f.Context(), f.owner, of, nil), access.ErrInvalid},
		"Import of too much": {f.Import(f.Context(), f.owner, of, map[string]secretstore.Value{
			"b": {Secret: plaintext.FromString(strings.Repeat("x", 60<<10))}, "c": {Secret: plaintext.FromString(strings.Repeat("x", 60<<10))},
			"d": {Secret: plaintext.FromString(strings.Repeat("x", 60<<10))}, "e": {Secret: plaintext.FromString(strings.Repeat("x", 60<<10))},
			"f": {Secret: plaintext.FromString(strings.Repeat("x", 60<<10))},
		}), access.ErrInvalid},
	} {
		f.wants(doing, c.got, c.want)
		if c.got != nil && (strings.Contains(c.got.Error(), "secret\x00") || strings.Contains(c.got.Error(), "value\x00") || strings.Contains(c.got.Error(), "xxxx")) {
			t.Errorf("%s repeats the value: %v", doing, c.got)
		}
	}
	if got := f.gets(f.owner, f.service); fmt.Sprint(got) != "map[a:one]" {
		t.Errorf("after the refusals an execution gets %v, want the first value", got)
	}
	if _, _, err := f.Get(f.Context(), f.viewer, of, "a"); err != nil {
		t.Errorf("Get by a viewer = %v, want the names", err)
	}
}

// TestCheck compares a service with its stored secrets.
func TestCheck(t *testing.T) {
	f := newFixture(t)
	of := secretstore.Address{Service: f.service}
	for _, name := range []string{"ok", "ending", "expired", "missing", "optional", "environment", "bound"} {
		f.declared = append(f.declared, signature.Parameter{Name: name, Env: signature.EnvName(name), Kind: signature.Secret, Required: name != "optional"})
	}
	f.environment = []string{"SECRET_ENVIRONMENT"}
	soon := func(after time.Duration) secretstore.Value {
		return secretstore.Value{Secret: plaintext.FromString("x"), ExpiresAt: f.Now().Add(after)}
	}
	f.set(f.owner, of, "ok", "x")
	f.set(f.owner, of, "unused", "x")
	_, err := f.Set(t.Context(), f.owner, secretstore.Address{}, "shared", soon(time.Minute))
	f.must(err)
	f.must(f.Bind(t.Context(), f.owner, "shared", secretstore.Binding{Service: f.service, Parameter: "bound"}))
	for name, after := range map[string]time.Duration{"ending": time.Hour, "expired": time.Minute} {
		_, err := f.Set(t.Context(), f.owner, of, name, soon(after))
		f.must(err)
	}
	f.advance.Store(int64(2 * time.Minute))
	check := func(p access.Principal, a secretstore.Address) string {
		t.Helper()
		found, err := f.Check(t.Context(), p, a, 2*time.Hour)
		f.must(err)
		var lines []string
		for _, one := range found {
			lines = append(lines, strings.TrimSpace(one.Name+" "+string(one.Status)+" "+string(one.From)))
		}
		return strings.Join(lines, ", ")
	}
	want := "bound EXPIRED TENANT, ending EXPIRING SERVICE, environment OK ENVIRONMENT, expired EXPIRED SERVICE, missing MISSING, ok OK SERVICE, optional OPTIONAL, unused UNUSED SERVICE"
	if got := check(f.viewer, of); got != want {
		t.Errorf("Check = %s, want %s", got, want)
	}
	foreign := secretstore.Address{Service: f.service, Application: f.foreign.ID}
	f.set(f.stranger, foreign, "missing", "x")
	want = "bound MISSING, ending OK SERVICE, environment OK ENVIRONMENT, expired MISSING, missing OK SUBSCRIPTION, ok OK SERVICE, optional OPTIONAL"
	if got := check(f.stranger, foreign); got != want {
		t.Errorf("Check by a subscriber = %s, want %s", got, want)
	}
	f.set(f.owner, secretstore.Address{}, "unbound", "x")
	if got, want := check(f.owner, secretstore.Address{}), "shared EXPIRED TENANT, expired EXPIRED SERVICE, ending EXPIRING SERVICE, unbound UNUSED TENANT"; sorted(got) != sorted(want) {
		t.Errorf("Check of the account = %s, want %s", got, want)
	}
}

func sorted(list string) string {
	parts := strings.Split(list, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// TestRewrap has stored secrets open with the new master key alone.
func TestRewrap(t *testing.T) {
	f := newFixture(t)
	for i := range 250 { // several batches
		f.set(f.owner, secretstore.Address{Service: f.service}, fmt.Sprint("secret_", i), fmt.Sprint("value-", i))
	}
	both, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))
	f.must(err)
	if n, err := store.Rewrap(t.Context(), f.db, both); err != nil || n < 250 {
		t.Fatalf("Rewrap = %d, %v; want all of 250", n, err)
	}
	only, err := vault.FromText([]byte("2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="))
	f.must(err)
	use, err := store.FindKeyUse(t.Context(), f.db, only)
	f.must(err)
	if use.Versions[2] < 250 || len(use.Missing)+len(use.Damaged) > 0 {
		t.Errorf("FindKeyUse = %+v, want all with the new key", use)
	}
	f.Keyring = only
	if got := f.gets(f.owner, f.service); len(got) != 250 || got["secret_7"] != "value-7" {
		t.Errorf("with the new key %d values open, want 250", len(got))
	}
}
