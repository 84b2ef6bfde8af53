package leak_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// TestNetFindsEveryForm: every form is found in any place, and names its canary.
func TestNetFindsEveryForm(t *testing.T) {
	t.Parallel()
	source := leak.NewSource(1)
	canaries := append(source.Canaries("one"), source.Canaries("two")...)
	net := leak.NewNet(canaries)
	for _, c := range canaries {
		for _, form := range c.Forms() {
			for _, text := range []string{form.Text, "before " + form.Text + " after", strings.Repeat("x", 1<<16) + form.Text} {
				found := net.Search("here", []byte(text))
				if !slices.ContainsFunc(found, func(f leak.Finding) bool { return f.Canary == c && f.Place == "here" }) {
					t.Errorf("%s, %s: Search() finds nothing in a text of %d bytes, want %q", c.Shape, form.Name, len(text), form.Text)
				}
			}
			if found := net.Search("here", []byte(form.Text[1:7])); len(found) > 0 {
				t.Errorf("a piece of %q counts as %s, want no finding", form.Text, found[0])
			}
		}
	}
}

// TestNetFindsNothingElse: the net finds nothing in other texts, such as the parts that all
// canaries of a shape share.
func TestNetFindsNothingElse(t *testing.T) {
	t.Parallel()
	net := leak.NewNet(leak.NewSource(2).Canaries("one"))
	for _, text := range []string{"", "short", "-----BEGIN PRIVATE KEY-----", `{"type": "account", "user": {"name": "`, strings.Repeat("[redacted] ", 1000)} {
		if found := net.Search("here", []byte(text)); len(found) > 0 {
			t.Errorf("Search(%.50q) = %s, want nothing", text, found[0])
		}
	}
}

// TestSourceIsRepeatable: the same seed makes the same canaries, and another one makes others.
func TestSourceIsRepeatable(t *testing.T) {
	t.Parallel()
	first, again, other := leak.NewSource(3).Canaries("x"), leak.NewSource(3).Canaries("x"), leak.NewSource(4).Canaries("x")
	if !slices.Equal(first, again) {
		t.Error("the same seed makes other canaries")
	}
	for i := range first {
		if first[i].Value == other[i].Value {
			t.Errorf("another seed makes the same secret of the shape %s, want a different one", first[i].Shape)
		}
	}
	if outer, inner := first[slices.Index(leak.Shapes, leak.Outer)], first[slices.Index(leak.Shapes, leak.Inner)]; !strings.Contains(outer.Value, inner.Value) {
		t.Errorf("the inner secret is %q and the outer %q, want it inside", inner.Value, outer.Value)
	}
}
