package httpapi_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/web"
	"github.com/qhubctl/qhubctl/internal/web/webtest"
)

// screenshots is a folder for pictures of the pages, for people who change
// them.
const screenshots = "QHUBCTL_TEST_SCREENSHOTS"

const richDescription = `{"schemaVersion":1,"sdk":{"language":"python","name":"qhub-commons","version":"1"},
	"entrypoint":"src.program:run","description":"Optimises a portfolio on a quantum computer, or simulates one.\nCosts credits on real devices.",
	"parameters":[
	{"name":"data","kind":"input","check":"schema","required":true,"schema":{"$ref":"#/$defs/InputData"}},
	{"name":"shots","kind":"input","check":"schema","required":true,"description":"How often the circuit runs.","schema":{"type":"integer","minimum":1,"maximum":100000}},
	{"name":"backend","kind":"input","check":"schema","required":false,"schema":{"enum":["simulator","ibm_torino","iqm_garnet"],"default":"simulator"}},
	{"name":"weights","kind":"input","check":"schema","required":false,"schema":{"anyOf":[{"type":"array","items":{"type":"number"}},{"type":"null"}],"default":null}},
	{"name":"api_token","kind":"secret","required":true,"env":"SECRET_API_TOKEN","description":"The token of the device's provider."},
	{"name":"database_password","kind":"secret","required":false,"env":"SECRET_DATABASE_PASSWORD"},
	{"name":"models","kind":"datapool","required":false}],
	"$defs":{"InputData":{"type":"object","title":"InputData","properties":{
		"endpoint":{"type":"string","title":"Endpoint"},
		"verbose":{"type":"boolean","default":false},
		"exact":{"type":"boolean","title":"Use the exact solver"},
		"limits":{"type":"object","properties":{"seconds":{"type":"number","default":1.5},"memory":{"anyOf":[{"type":"integer"},{"type":"null"}]}}}},
		"required":["endpoint","exact"]}}}`

// picture keeps one of the page where the developer wants it.
func picture(name string) chromedp.Action {
	dir := os.Getenv(screenshots)
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if dir == "" {
			return nil
		}
		var png []byte
		if err := chromedp.FullScreenshot(&png, 100).Do(ctx); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

func colours(scheme string) chromedp.Action {
	return emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

func docsServer(t *testing.T, log *bytes.Buffer, base string) (*fakeService, *httptest.Server) {
	t.Helper()
	f := newFakeOf(t, richDescription)
	pages := web.Pages(base, func(context.Context) (web.Service, error) {
		return web.Service{Name: "portfolio", Version: "2.1.0", Signature: f.revision.Signature, Request: f.revision.Signature}, nil
	})
	server := httptest.NewServer(httpapi.New(httpapi.Options{
		Service: f, LoopbackOnly: true, Base: base, Pages: pages, Home: web.Home,
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}))
	t.Cleanup(server.Close)
	server.URL += base
	return f, server
}

const typed = `s3cr3t-"typed"`

func TestDocsPageStartsAnExecutionAndShowsNoSecret(t *testing.T) {
	var log bytes.Buffer
	f, server := docsServer(t, &log, "/gateway/a-tenant/portfolio/2")
	ctx, said := webtest.Browser(t)
	var whole, address, secretValue string
	do := func(actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			t.Fatalf("%v\n%s", err, said())
		}
	}
	do(chromedp.EmulateViewport(1280, 900), colours("light"), chromedp.Navigate(server.URL+"/"), chromedp.WaitVisible("#start"), picture("form-light"))
	// With everything missing, errors stand at their fields.
	do(chromedp.Click("#start"), chromedp.WaitVisible(`[data-path="shots"] .error`), picture("form-errors"))
	do(
		chromedp.SendKeys(`[data-path="data.endpoint"] input`, "https://device.example"),
		chromedp.SendKeys(`[data-path="shots"] input`, "12345678901234567890"),
		chromedp.SendKeys(`[data-path="$secrets.api_token"] input[type=password]`, typed),
		chromedp.SendKeys("#tags", "blue, green"),
		chromedp.Click("#start"), chromedp.WaitVisible(`[data-path="shots"] .error`),
		chromedp.SetValue(`[data-path="shots"] input`, "100"),
		chromedp.Click("#start"),
		chromedp.WaitVisible("#execution"),
		chromedp.Poll(`document.getElementById("state").textContent === "PENDING"`, nil),
		chromedp.Value(`[data-path="$secrets.api_token"] input[type=password]`, &secretValue),
	)
	if secretValue != "" {
		t.Error("the field of the secret has its value after the start, want it empty")
	}
	id := follow(t, f, do)
	do(
		chromedp.OuterHTML("html", &whole), chromedp.Location(&address),
		chromedp.EmulateViewport(1280, 900), colours("dark"), picture("result-dark"), colours("light"), picture("result-light"),
		chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile), picture("result-phone"),
	)
	var wide bool
	do(chromedp.Evaluate(`document.documentElement.scrollWidth > innerWidth`, &wide))
	if wide {
		t.Error("the page is wider than a phone, want it to fit")
	}
	if address != server.URL+"/docs#"+id {
		t.Errorf("the address is %s", address)
	}
	for where, text := range map[string]string{"the document": whole, "the address": address, "the server's log": log.String(), "what the browser said": said()} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("the secret is in %s, want it nowhere:\n%s", where, text)
		}
	}
	want := `{"data":{"endpoint":"https://device.example","exact":false},"shots":100,"$secrets":{"api_token":"s3cr3t-\"typed\""},"$tags":["blue","green"]}`
	f.with(func() {
		if got := f.copies[len(f.copies)-1]; got != want {
			t.Errorf("the body is\n%s, want\n%s", got, want)
		}
	})
	checkBrowser(t, said(), server.URL)
}

// follow lets the execution run, and looks at what the page makes of it.
func follow(t *testing.T, f *fakeService, do func(...chromedp.Action)) string {
	t.Helper()
	var id execution.ID
	f.with(func() { id = f.executions[0].ID })
	f.set(id, execution.Running)
	f.write(id, "loading <b>the model</b>", "step 1 of 2")
	do(chromedp.Poll(`document.querySelectorAll("#log .line").length === 2`, nil), chromedp.WaitVisible("#cancel"), picture("running-light"))
	f.with(func() {
		f.results[id] = engine.Result{
			Value: []byte(`{"energy":-1.25,"counts":12345678901234567890}`),
			Files: []engine.ResultFile{{Name: "plan <1>.txt", Size: 4}},
		}
		f.files[id.String()+"/plan <1>.txt"] = []byte("plan")
	})
	f.write(id, "done")
	f.set(id, execution.Succeeded)
	var result, lines string
	do(chromedp.WaitVisible("#result"), chromedp.Text("#result", &result), chromedp.Text("#log", &lines), chromedp.WaitVisible(`#files a[download="plan <1>.txt"]`))
	if want := "{\n  \"energy\": -1.25,\n  \"counts\": 12345678901234567890\n}"; result != want {
		t.Errorf("the result reads %s, want %s", result, want)
	}
	if !strings.Contains(lines, "loading <b>the model</b>") || !strings.Contains(lines, "done") {
		t.Errorf("the log reads %s", lines)
	}
	return id.String()
}

// checkBrowser fails on errors of the page, refusals of its policy, and
// requests to anywhere else.
func checkBrowser(t *testing.T, said, server string) {
	t.Helper()
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		address, isRequest := strings.CutPrefix(line, "request: ")
		switch {
		case isRequest && !strings.Contains(address, " "+server+"/") && !strings.Contains(address, " data:") && !strings.Contains(address, " blob:"):
			t.Errorf("the page asks elsewhere: %s", line)
		case strings.HasPrefix(line, "exception:"), strings.Contains(line, "Content Security Policy"):
			t.Error(line)
		}
	}
}

func TestReferencePage(t *testing.T) {
	var log bytes.Buffer
	_, server := docsServer(t, &log, "")
	ctx, said := webtest.Browser(t)
	var text string
	err := chromedp.Run(ctx,
		chromedp.EmulateViewport(1280, 900), chromedp.Navigate(server.URL+"/docs/reference"),
		chromedp.Poll(`document.querySelector("rapi-doc")?.shadowRoot?.textContent.includes("Start an execution")`, nil),
		chromedp.Evaluate(`document.querySelector("rapi-doc").shadowRoot.textContent`, &text),
		picture("reference-light"), colours("dark"), picture("reference-dark"),
	)
	if err != nil {
		t.Fatalf("%v\n%s", err, said())
	}
	if !strings.Contains(text, "/{id}/cancel") {
		t.Error("the reference lacks a path, want all")
	}
	checkBrowser(t, said(), server.URL)
}
