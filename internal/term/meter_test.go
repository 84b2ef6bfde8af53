package term

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestMeter shows a transfer that takes longer than a second, and no other.
func TestMeter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		age     time.Duration
		animate bool
		quiet   bool
		want    string
	}{
		"short":         {0, false, false, ""},
		"long":          {2 * time.Second, false, false, "big: 25 % of 2.0 KiB\n"},
		"on a terminal": {2 * time.Second, true, false, "big"},
		"quiet":         {2 * time.Second, true, true, ""},
	} {
		var out bytes.Buffer
		s := &Streams{Err: &out, Animate: c.animate, Quiet: c.quiet}
		m := s.Meter("big", 2048)
		m.begun = m.begun.Add(-c.age)
		m.At(512)
		m.At(513)
		m.End(nil)
		m.At(514)
		if got := out.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) || !c.animate && got != c.want {
			t.Errorf("%s: the meter shows %q, want %q", name, got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 500 << 20: "500.0 MiB", 3 << 40: "3.0 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}
