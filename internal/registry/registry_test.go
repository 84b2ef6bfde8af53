package registry_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/registry"
)

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "my-service": true, "s3": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "A": false, "a_b": false, "a/b": false, "a.b": false, "ä": false, strings.Repeat("a", 64): false,
	} {
		if err := registry.CheckName(name); (err == nil) != want || err != nil && !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("CheckName(%q) = %v, want valid: %t", name, err, want)
		}
	}
	for given, want := range map[string]string{"My Service": "my-service", "user_code": "user-code", "--": "", "ä b": "b", strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62)} {
		if got := registry.NameOf(given); got != want || want != "" && registry.CheckName(got) != nil {
			t.Errorf("NameOf(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, want := range map[string]bool{"1.0.0": true, "0.10.2": true, "1.0": false, "v1.0.0": false, "01.0.0": false, "1.0.0-rc1": false, "latest": false, "1.0.0000000": false} {
		if err := registry.CheckVersion(version); (err == nil) != want {
			t.Errorf("CheckVersion(%q) = %v, want valid: %t", version, err, want)
		}
	}
	latest, ok := registry.Latest([]registry.Version{{Version: "1.9.0", Active: "a"}, {Version: "1.10.0", Active: "b"}, {Version: "2.0.0"}, {Version: "1.2.0", Active: "c"}})
	if !ok || latest.Version != "1.10.0" {
		t.Errorf("Latest = %+v, want the highest with an active revision, 1.10.0", latest)
	}
	if _, ok := registry.Latest([]registry.Version{{Version: "1.0.0"}}); ok {
		t.Error("Latest without an active revision = true")
	}
}
