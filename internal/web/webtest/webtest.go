// Package webtest lets tests use pages in a real browser.
package webtest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test may take with its browser.
const patience = 5 * time.Minute

// Browser starts Chromium, if there is one. It returns the messages and the requests of
// the browser.
func Browser(t *testing.T) (ctx context.Context, said func() string) {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		t.Skip("there is no Chromium in PATH, so the pages are not tested in a browser")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(patience)) // a busy machine may need more than the 20 s of chromedp to start it
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root cannot use it otherwise
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		cancel()
		closeTab()
		stop()
	})
	var mu sync.Mutex
	var all strings.Builder
	field := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		all.WriteString(text + "\n")
	}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *cdplog.EventEntryAdded:
			field("console: " + e.Entry.Text + " " + e.Entry.URL)
		case *runtime.EventExceptionThrown:
			field("exception: " + e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			for _, argument := range e.Args {
				field("console: " + string(argument.Value) + argument.Description)
			}
		case *network.EventRequestWillBeSent:
			field("request: " + e.Request.Method + " " + e.Request.URL)
		}
	})
	return ctx, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}
