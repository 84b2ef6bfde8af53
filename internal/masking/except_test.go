package masking

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// recorder stands for a masker that leaves a caller's inputs alone.
type recorder struct {
	*redact.Masker
	inputs []string
}

func (r *recorder) Except(inputs ...[]byte) *redact.Masker {
	for _, input := range inputs {
		r.inputs = append(r.inputs, string(input))
	}
	return redact.New(nil)
}

func TestResultExceptsTheInputs(t *testing.T) {
	t.Parallel()
	r := &recorder{Masker: redact.New(nil)}
	masker := except(r, map[string]json.RawMessage{
		"b": json.RawMessage(`"l\u00e4ngs\n"`), "a": json.RawMessage(`{"k":"v"}`), "c": json.RawMessage(`5`),
	})
	if want := []string{`{"k":"v"}`, "längs\n", "5"}; !slices.Equal(r.inputs, want) || masker == nil {
		t.Errorf("except(inputs) hands over %q, want %q", r.inputs, want)
	}
	same := redact.New(nil)
	if got := except(same, nil); got != same {
		t.Error("except(no inputs) = another masker, want the same")
	}
}
