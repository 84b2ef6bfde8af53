//go:build unix

package cli_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/qhubctl/qhubctl/internal/web/webtest"
)

const markedUp = `
"""Module."""
from enum import Enum
from typing import Annotated
from pydantic import BaseModel, Field

class Kind(Enum):
    """A <b>kind</b>."""
    A = "<b>enum</b>"

class Data(BaseModel):
    """Data <img src=x onerror=alert(1)>."""
    text: str = Field("<b>default</b>", description="Field <b>one</b> & <script>alert(2)</script>", title="<b>title</b>", pattern="<b>|.*")
    kind: Kind = Kind.A
    more: Annotated[int, Field(examples=["<b>example</b>"])] = 1

def run(data: Data, other: dict[str, str]) -> Data:
    """Returns <b>bold</b> <img src=x onerror=alert(3)> text, as in List<int>.

    <h1 id="injected">Heading</h1>
    """
    return data
`

// TestReferenceShowsMarkup looks at a service whose texts hold HTML.
func TestReferenceShowsMarkup(t *testing.T) {
	ctx, said := webtest.Browser(t)
	s := serve(t, service(t, markedUp))
	var text string
	var injected []string
	err := chromedp.Run(ctx,
		chromedp.EmulateViewport(1280, 900), chromedp.Navigate(s.url+"/docs/reference"),
		chromedp.Poll(`document.querySelector("rapi-doc")?.shadowRoot?.textContent.includes("Start an execution")`, nil),
		chromedp.Evaluate(`(() => { const all = []; const look = (root) => root.querySelectorAll("*").forEach((e) => {
			if (["IMG", "SCRIPT", "B"].includes(e.tagName) && !e.closest("style") || e.id === "injected" || e.hasAttribute("onerror")) all.push(e.outerHTML);
			if (e.shadowRoot) look(e.shadowRoot);
		}); look(document.querySelector("rapi-doc").shadowRoot); return all })()`, &injected),
		chromedp.Evaluate(`(() => { let text = ""; const look = (root) => { text += root.textContent; root.querySelectorAll("*").forEach((e) => e.shadowRoot && look(e.shadowRoot)) };
			look(document.querySelector("rapi-doc").shadowRoot); return text })()`, &text),
	)
	if err != nil {
		t.Fatalf("%v\n%s", err, said())
	}
	if len(injected) > 0 {
		t.Errorf("the reference took text of the service for elements: %q", injected)
	}
	if want := "Returns <b>bold</b> <img src=x onerror=alert(3)> text, as in List<int>."; !strings.Contains(text, want) {
		t.Errorf("the reference does not show %q", want)
	}
	if strings.Contains(said(), "alert") || strings.Contains(text, "&lt;") {
		t.Errorf("the browser said %s, the page has an escape: %t", said(), strings.Contains(text, "&lt;"))
	}
}
