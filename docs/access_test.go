package docs_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
)

// TestAccessListsRights compares the table of access.md with the one in the code.
func TestAccessListsRights(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("access.md")
	if err != nil {
		t.Fatal(err)
	}
	yes := map[bool]string{true: "yes"}
	table := access.Table()
	var want strings.Builder
	for _, right := range slices.Sorted(maps.Keys(table)) {
		rule := table[right]
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", right, rule.Role, rule.Scope, yes[rule.Application], yes[rule.Execution])
	}
	if !strings.Contains(string(page), "|---|---|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("the table of rights in access.md differs from the code, want\n%s", want.String())
	}
}
