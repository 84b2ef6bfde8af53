package webtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// axePackage is the Python package that has axe-core, the checker of accessibility.
const axePackage = "axe-playwright-python==0.1.8"

// Axe returns an action that checks the page that is shown by axe-core, for all its rules.
// What it finds is an error, named by the rule and the first element.
func Axe(t testing.TB) chromedp.Action {
	t.Helper()
	venv, err := testenv.Venv("axe", "--no-deps", axePackage)
	if err != nil {
		t.Fatalf("installing axe-core: %v", err)
	}
	where, err := environ.Command(t.Context(), testenv.Program(venv, "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").Output()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(where)), "axe_playwright_python", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	const check = `(async () => {
		const found = await axe.run(document, {resultTypes: ["violations"]});
		return found.violations.map((v) => v.id + ": " + v.help + ", as in " + v.nodes[0].html + " (" + v.nodes.length + ")");
	})()`
	return chromedp.ActionFunc(func(ctx context.Context) error {
		var found []string
		err := chromedp.Run(ctx, chromedp.Evaluate(string(script)+";0", nil),
			chromedp.Evaluate(check, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("axe-core finds:\n%s", strings.Join(found, "\n"))
		}
		return err
	})
}
