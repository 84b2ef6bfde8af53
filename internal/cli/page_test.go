//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/qhubctl/qhubctl/internal/web/webtest"
)

// A service that shows its secret wherever it can.
const spilling = `
import os
from qhub.commons.secret import SecretValue

def run(text: str, api_token: SecretValue) -> dict:
    value = api_token.unwrap()
    print("using", value)
    with open(os.path.join(os.environ["OUTPUT_DIRECTORY"], "report.txt"), "w") as file:
        file.write(text + " " + value)
    return {"text": text, "token": value}
`

// A person starts a real execution on the page, by a secret that is typed
// there, and never sees it again.
func TestPageRunsAnExecution(t *testing.T) {
	t.Parallel()
	dir := workspaceDir(t)
	if err := os.WriteFile(filepath.Join(dir, "src", "program.py"), []byte(spilling), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, said := webtest.Browser(t)
	s := serve(t, dir)
	var result, log, file, whole, address string
	err := chromedp.Run(ctx,
		chromedp.Navigate(s.url+"/docs"), chromedp.WaitVisible("#start"),
		chromedp.SendKeys(`[data-path="text"] input`, "from a page"),
		chromedp.SendKeys(`[data-path="$secrets.api_token"] input[type=password]`, theSecret),
		chromedp.Click("#start"),
		chromedp.Poll(`document.getElementById("state").textContent === "SUCCEEDED"`, nil),
		chromedp.WaitVisible("#result"), chromedp.WaitVisible(`#files a[download="report.txt"]`),
		chromedp.Text("#result", &result), chromedp.Text("#log", &log),
		chromedp.Evaluate(`fetch(document.querySelector('#files a[download="report.txt"]').href).then(r => r.text())`, &file, func(p *runtime.EvaluateParams) *runtime.EvaluateParams {
			return p.WithAwaitPromise(true)
		}),
		chromedp.OuterHTML("html", &whole), chromedp.Location(&address),
	)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, said(), s.said)
	}
	if !strings.Contains(result, `"text": "from a page"`) || !strings.Contains(result, `"token": "[redacted]"`) {
		t.Errorf("the result reads %s", result)
	}
	if !strings.Contains(log, "using [redacted]") || file != "from a page [redacted]" {
		t.Errorf("the log reads %s, the file %q", log, file)
	}
	s.wantNoSecret(result, log, file, whole, address, said(), s.said.String())
}
