package plaintext_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const canary = "canary-value-4711"

func TestNeverPrints(t *testing.T) {
	t.Parallel()
	p := plaintext.FromString(canary)
	type holder struct {
		Name  string
		Value plaintext.Bytes
		ptr   *plaintext.Bytes
	}
	values := map[string]any{
		"value":   p,
		"pointer": &p,
		"struct":  holder{"x", p, &p},
		"slice":   []plaintext.Bytes{p},
		"map":     map[string]plaintext.Bytes{"k": p},
		"error":   fmt.Errorf("wrapped: %v", p),
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%t", "%20s", "%c", "%U"} {
			assertSilent(t, name+" "+verb, fmt.Sprintf(verb, v))
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", v)
		assertSilent(t, name+" slog", log.String())
	}
}

func TestEncodersRefuse(t *testing.T) {
	t.Parallel()
	p := plaintext.FromString(canary)
	if _, err := json.Marshal(p); !errors.Is(err, plaintext.ErrEncode) {
		t.Errorf("json.Marshal() = %v, want ErrEncode", err)
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(p); !errors.Is(err, plaintext.ErrEncode) {
		t.Errorf("gob.Encode() = %v, want ErrEncode", err)
	}
	assertSilent(t, "gob", buf.String())
}

func TestClearWipesTheMemoryOfAllCopies(t *testing.T) {
	t.Parallel()
	raw := []byte(canary)
	p := plaintext.New(raw)
	q := p
	p.Clear()
	p.Clear()
	if q.Len() != 0 || bytes.Contains(raw, []byte("canary")) {
		t.Errorf("after Clear: %d bytes, %d of them zero, want no value", q.Len(), bytes.Count(raw, []byte{0}))
	}
	var zero plaintext.Bytes
	zero.Clear()
	if zero.Len() != 0 || zero.Reveal() != nil {
		t.Error("the zero value is not empty")
	}
}

func assertSilent(t *testing.T, where, printed string) {
	t.Helper()
	hexed := fmt.Sprintf("%x", canary)
	for _, form := range []string{canary, hexed, strings.ToUpper(hexed), "99 97 110"} {
		if strings.Contains(printed, form) {
			t.Errorf("%s shows the value, want the mask", where)
		}
	}
}
