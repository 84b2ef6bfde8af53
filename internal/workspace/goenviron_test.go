package workspace

import (
	"slices"
	"testing"
)

func TestGoEnviron(t *testing.T) {
	t.Setenv("GOTOOLCHAIN", "")
	got := goEnviron([]string{"PATH=/bin", "GOOS=plan9", "GOARCH=mips", "GOPROXY=off"})
	if want := []string{"PATH=/bin", "GOPROXY=off", "GOTOOLCHAIN=local"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("GOTOOLCHAIN", "auto")
	if got := goEnviron([]string{"GOTOOLCHAIN=auto"}); !slices.Equal(got, []string{"GOTOOLCHAIN=auto"}) {
		t.Errorf("goEnviron(GOTOOLCHAIN=auto) = %q, want the user's choice", got)
	}
}
