package reference_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/reference"
)

// The test binary is the program that fetches values: see TestMain. The real one has a
// test in its module.
const mode = "REFERENCE_TEST_MODE"

const canary = "canary-of-a-value-4711"

func TestMain(m *testing.M) {
	if os.Getenv(mode) == "" {
		os.Exit(m.Run())
	}
	var request reference.Request
	text, _ := io.ReadAll(os.Stdin)
	_ = json.Unmarshal(text, &request)
	name := filepath.Base(request.Reference)
	_, _ = fmt.Fprintln(os.Stderr, canary)
	if file, err := os.OpenFile(os.Getenv("REFERENCE_TEST_LOG"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
		_, _ = file.WriteString(name + "\n")
		_ = file.Close()
	}
	switch name {
	case "hangs":
		select {}
	case "slow":
		<-time.After(300 * time.Millisecond)
		_, _ = os.Stdout.WriteString("{}\n" + canary)
	case "refused":
		_, _ = os.Stdout.WriteString(`{"problem":"the store has no such secret"}` + "\n" + canary)
	case "crashes":
		_, _ = os.Stdout.WriteString("{}\n" + canary)
		os.Exit(3)
	case "chatters":
		_, _ = os.Stdout.WriteString(canary)
	case "endless":
		_, _ = os.Stdout.WriteString("{}\n" + strings.Repeat("x", 4<<20))
	case "environment":
		_, _ = os.Stdout.WriteString("{}\n" + strings.Join(os.Environ(), "\n"))
	default:
		_, _ = os.Stdout.WriteString("{}\nvalue of " + name)
	}
	os.Exit(0)
}

// open makes a resolver, and a function that counts the processes for a name.
func open(t *testing.T, o reference.Options) (*reference.Resolver, func(name string) int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv(mode, "fetch")
	t.Setenv("REFERENCE_TEST_LOG", log)
	policy, err := reference.NewPolicy([]string{"vault"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	o.Policy = policy
	if o.Program == "" {
		o.Program = self
	}
	r, err := reference.NewResolver(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r, func(name string) int {
		text, _ := os.ReadFile(log)
		return strings.Count(string(text), name+"\n")
	}
}

func TestResolveSharesAndKeeps(t *testing.T) {
	r, processes := open(t, reference.Options{Keep: time.Hour})
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			value, err := r.Resolve(t.Context(), "", "ref+vault://kv/slow")
			if err != nil || string(value.Reveal()) != canary {
				t.Errorf("Resolve(slow) = %q, %v, want the value", value.Reveal(), err)
			}
			value.Clear() // of this caller only
		})
	}
	callers.Wait()
	value, err := r.Resolve(t.Context(), "", "ref+vault://kv/slow")
	if err != nil || string(value.Reveal()) != canary {
		t.Errorf("Resolve(kept) = %q, %v, want the value", value.Reveal(), err)
	}
	if got := processes("slow"); got != 1 {
		t.Errorf("21 callers started %d processes, want 1", got)
	}
}

func TestResolveForgets(t *testing.T) {
	r, processes := open(t, reference.Options{Keep: time.Nanosecond})
	for deadline := time.Now().Add(30 * time.Second); processes("short") < 2; {
		if _, err := r.Resolve(t.Context(), "", "ref+vault://kv/short"); err != nil || time.Now().After(deadline) {
			t.Fatalf("Resolve(short) = %v after %d processes, want a second process", err, processes("short"))
		}
	}
}

// TestResolveFails: an error names the reference, and holds nothing that the program
// printed.
func TestResolveFails(t *testing.T) {
	r, processes := open(t, reference.Options{Time: 2 * time.Second})
	for name, want := range map[string]string{
		"refused": "the store has no such secret", "crashes": "exit status 3", "chatters": "gave no answer", "endless": "is longer than 64 KiB", "hangs": "there was no answer within 2s",
	} {
		begun := time.Now()
		value, err := r.Resolve(t.Context(), "", "ref+vault://kv/"+name)
		if _, ok := errors.AsType[*reference.Error](err); !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "ref+vault://kv/"+name) {
			t.Errorf("Resolve(%s) = %v, want an Error with the reference and %q", name, err, want)
		}
		if value.Len() > 0 || strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
			t.Errorf("Resolve(%s) = %v, which shows what the program printed, want nothing of it", name, err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("Resolve(%s) took %s, want about 2 s", name, took)
		}
	}
	if _, err := r.Resolve(t.Context(), "", "ref+vault://kv/refused"); err == nil || processes("refused") != 2 {
		t.Errorf("Resolve(refused) again = %v after %d processes, want a second process: failures are not kept", err, processes("refused"))
	}
}

func TestResolveRefusesBeforeItStarts(t *testing.T) {
	r, processes := open(t, reference.Options{})
	for _, text := range []string{"ref+awssecrets://a", "ref+exec://sh/a", "ref+vault://kv/a?address=https://evil.example", canary} {
		if _, err := r.Resolve(t.Context(), "", text); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("Resolve(%s) = %v, want an error without the text", text, err)
		}
	}
	if got := processes(""); got != 0 {
		t.Errorf("refused references started %d processes, want 0", got)
	}
}

func TestResolveStops(t *testing.T) {
	r, _ := open(t, reference.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(ctx, "", "ref+vault://kv/hangs"); !errors.Is(err, context.Canceled) {
		t.Errorf("Resolve(ended ctx) = %v, want context.Canceled", err)
	}
	if err := r.Close(); err != nil { // does not wait ten seconds
		t.Errorf("Close() = %v, want nil", err)
	}
}

// TestEnvironment: the clients of stores get their settings, and no secret of qhubctl.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{"VAULT_TOKEN": "passed", "SECRET_X": canary, "QHUBCTL_TOKEN": canary, "VALS_ADDRESS": canary, "AWS_SDK_GO_LOG_LEVEL": canary} {
		t.Setenv(name, value)
	}
	r, _ := open(t, reference.Options{})
	value, err := r.Resolve(t.Context(), "", "ref+vault://kv/environment")
	if err != nil || !strings.Contains(string(value.Reveal()), "VAULT_TOKEN=passed") || strings.Contains(string(value.Reveal()), canary) {
		t.Errorf("the program was given %q (%v), want VAULT_TOKEN, and no %q", value.Reveal(), err, canary)
	}
}

func TestProgramIsMissing(t *testing.T) {
	r, _ := open(t, reference.Options{Program: filepath.Join(t.TempDir(), "nothing")})
	_, err := r.Resolve(t.Context(), "", "ref+vault://kv/a")
	failed, ok := errors.AsType[*reference.Error](err)
	if !ok || !strings.Contains(err.Error(), "is not there") || !strings.Contains(failed.Hint(), "make build") {
		t.Errorf("Resolve without the program = %v, want an Error that says how to get it", err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := (reference.Options{}).Available(); !errors.Is(err, reference.ErrNoProgram) {
		t.Errorf("Available() with an empty PATH = %v, want ErrNoProgram", err)
	}
}
