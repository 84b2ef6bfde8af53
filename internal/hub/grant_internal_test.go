package hub

import (
	"encoding/json"
	"strings"
	"testing"
)

// A kept input has no grant of a data pool, however its reference is written.
func TestKeptInputHasNoGrant(t *testing.T) {
	t.Parallel()
	for _, reference := range []string{
		`{"id": "p", "ref": "DATAPOOL", "grant": "qhg_1"}`,
		`{"id": "p", "ref": "datapool", "grant": "qhg_1"}`,
		`{"grant": "qhg_1", "ref": "\u0044ATAPOOL", "id": "p"}`,
		`{"id": "p", "\u0072ef": "DATAPOOL", "gr\u0061nt": "qhg_1"}`,
	} {
		b := jobBody{Input: members{"models": json.RawMessage(reference)}}
		document, err := b.keep()
		if err != nil {
			t.Fatalf("keep(%s): %v", reference, err)
		}
		if text := string(document.Input); strings.Contains(text, "qhg_1") || !strings.Contains(text, `"id"`) {
			t.Errorf("keep(%s) = %s, want the reference without its grant", reference, text)
		}
	}
	b := jobBody{Input: members{"note": json.RawMessage(`{"grant": "money"}`)}}
	if document, err := b.keep(); err != nil || !strings.Contains(string(document.Input), "money") {
		t.Errorf("keep = %s, %v, want an input of another kind unchanged", document.Input, err)
	}
}
