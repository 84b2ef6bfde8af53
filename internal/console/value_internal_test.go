package console

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseKeepsNumbersAndOrder(t *testing.T) {
	t.Parallel()
	v := parse([]byte(`{"b":1.50,"a":[null,true,"x"],"_links":{"x":1},"big":12345678901234567890}`), "_links")
	var got strings.Builder
	for _, m := range v.members {
		fmt.Fprint(&got, m.name, " ", m.value.text, len(m.value.members), ";")
	}
	if want := "b 1.500;a 3;big 123456789012345678900;"; got.String() != want {
		t.Errorf("parse = %q, want %q", got.String(), want)
	}
	long := parse([]byte("[" + strings.Repeat("1,", 500) + "1]"))
	if len(long.members) != maxMembers || long.summary() != "501 elements" {
		t.Errorf("parse(a long list) = %d members, %q, want %d and all counted", len(long.members), long.summary(), maxMembers)
	}
	if parse([]byte(`{"_links":{}}`), "_links").kind != 0 {
		t.Error("parse(an object without other members) is something, want nothing")
	}
}

// FuzzParse parses without a panic.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}]}`))
	f.Fuzz(func(_ *testing.T, text []byte) { parse(text, "a") })
}
