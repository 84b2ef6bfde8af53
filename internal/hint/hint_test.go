package hint_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/qhubctl/qhubctl/internal/hint"
)

type hinted struct{ text, hint string }

func (e hinted) Error() string { return e.text }
func (e hinted) Hint() string  { return e.hint }

func TestJoin(t *testing.T) {
	t.Parallel()
	if err := hint.Join(nil, nil); err != nil {
		t.Errorf("Join(nil, nil) = %v, want nil", err)
	}
	one := errors.New("one")
	if err := hint.Join(nil, one); err != one { //nolint:errorlint // the same error, unwrapped
		t.Errorf("Join(nil, one) = %v, want one itself", err)
	}
	a, b, c := hinted{"a", "do this"}, hinted{"b", "do that"}, hinted{"c", "do this"}
	err := hint.Join(hint.Join(a, b), c)
	if got, want := err.Error(), "3 things are wrong:\na\nb\nc"; got != want {
		t.Errorf("Join(Join(a, b), c).Error() = %q, want %q", got, want)
	}
	if got, want := hint.Of(fmt.Errorf("wrapped: %w", err)), "do this\ndo that"; got != want {
		t.Errorf("Of(joined) = %q, want %q", got, want)
	}
	if !errors.Is(err, b) {
		t.Errorf("errors.Is(joined, b) = false, want true")
	}
}
