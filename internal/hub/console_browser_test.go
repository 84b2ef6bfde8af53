package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/qhubctl/qhubctl/internal/web/webtest"
)

// screenshots is a folder for pictures of the pages.
const screenshots = "QHUBCTL_TEST_SCREENSHOTS"

// becomes waits until an expression is true, in the page that is shown then.
func becomes(expression string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			holds := false
			err := chromedp.Evaluate(expression, &holds).Do(ctx) // an error if the page changes meanwhile
			if err == nil && holds {
				return nil
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s does not become true: %w", expression, errors.Join(err, ctx.Err()))
			}
		}
	})
}

// shown waits until an element that a selector finds has a text.
func shown(selector, text string) chromedp.Action {
	return becomes(`[...document.querySelectorAll("` + selector + `")].some((e) => e.textContent.includes(` + "`" + text + "`" + `))`)
}

// picture takes a picture of the page, if the environment names a folder for them.
func picture(name string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		dir := os.Getenv(screenshots)
		if dir == "" {
			return nil
		}
		var png []byte
		if err := chromedp.Run(ctx, becomes(`document.readyState === "complete" && document.body.clientWidth > 0`), chromedp.FullScreenshot(&png, 100)); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	})
}

// browse starts a browser. Each step that it takes must succeed.
func browse(t *testing.T) (ctx context.Context, step func(what string, actions ...chromedp.Action), said func() string) {
	ctx, said = webtest.Browser(t)
	return ctx, func(what string, actions ...chromedp.Action) {
		t.Helper()
		if err := chromedp.Run(ctx, actions...); err != nil {
			var html string
			_ = chromedp.Run(ctx, chromedp.InnerHTML("body", &html))
			t.Fatalf("%s: %v\n%s\nerrors: %s\nthe page: %.9000s", what, err, said(), errorsOf(ctx), html)
		}
	}, said
}

// click clicks the first element that a selector finds, once there is one and the scripts
// of its page have run.
func click(selector string) chromedp.Action {
	return becomes(fmt.Sprintf(`((e) => e && document.readyState === "complete" ? (e.click(), true) : false)(document.querySelector(%q))`, selector))
}

// TestConsoleInABrowser goes the way of a newcomer in a real browser.
func TestConsoleInABrowser(t *testing.T) {
	v := startVaulted(t)
	_, step, said := browse(t)
	step("sign in", chromedp.EmulateViewport(1280, 800), chromedp.Navigate(v.url+"/"), chromedp.SendKeys("#token", "qhp_wrong"), chromedp.Submit("#sign-in"),
		shown(".notice", "no valid personal access token"), picture("sign-in"), chromedp.SendKeys("#token", v.owner), chromedp.Submit("#sign-in"), shown("h2", "teller"), picture("services"))
	step("see it change", chromedp.Evaluate(`window.tile = document.querySelector("h2"); 0`, nil), becomes(`!window.tile.isConnected`))
	step("set a secret", click(`a[href="/secrets?serviceId=`+v.id+`"]`), shown("td", "missing"), chromedp.SendKeys("#set-name", "api_token"),
		chromedp.SendKeys("#set-value", "the-first-token"), click("form[data-action^=PUT] button"), shown("td", "stored, version 1"), picture("secrets"))
	step("read that it is there", chromedp.Navigate(v.url+"/services/"+v.id), shown("td", "stored, version 1"), picture("service"))
	step("open the form", click(".title a.primary"), chromedp.WaitVisible("#start"), shown("label", "api_token"))
	step("run it", chromedp.SendKeys("[data-path='$secrets.db_password'] input[type=password]", "the-password-of-a-form"), click("#start"), shown("#state", "SUCCEEDED"))
	step("find it", chromedp.Navigate(v.url+"/executions"), shown("td", "SUCCEEDED"), picture("executions"), click("td a"),
		shown(".line", "api_token is [redacted]"), shown(".tree", "api_token"), picture("execution"))
	step("search its log", chromedp.SendKeys("#log-search", "no such word"), shown("[data-log-count]", "0 of"))
	step("rotate the secret", chromedp.Navigate(v.url+"/secrets/api_token?serviceId="+v.id), chromedp.SendKeys("#new-value", "the-second-token"),
		click("form[data-action*=rotate] button"), shown("dd", "2"), picture("secret"))
	step("read the audit log", click("p a[href^='/audit']"), shown("td", "rotateSecret"), shown("td", "setSecret"), picture("audit"))
	step("make an application and a key", chromedp.Navigate(v.url+"/applications"), chromedp.SendKeys("#name", hostileText[:40]), click("form[data-action] button"),
		shown("h1", hostileText[:40]), click("form[data-then=show] button.primary"), shown("#shown code", "qhs_"), picture("application"))
	step("do not see the key again", chromedp.Reload(), chromedp.WaitVisible("h1"), becomes(`!document.body.textContent.includes("qhs_")`))
	step("be asked before a deletion", click(".title button"), chromedp.WaitVisible("#ask"), click("#ask button.primary"), shown("li", "app"),
		becomes(`location.pathname === "/applications"`))
	for _, path := range []string{"/pools", "/members", "/server"} {
		step(path, chromedp.Navigate(v.url+path), chromedp.WaitVisible("h1"), picture(path[1:]))
	}
	step("see it on a small screen", chromedp.EmulateViewport(320, 640), chromedp.Navigate(v.url+"/executions"), chromedp.WaitVisible("td"),
		becomes(`document.documentElement.scrollWidth <= 320`), picture("small"))
	step("sign out", click(".who button"), chromedp.WaitVisible("#sign-in"))
	for _, line := range strings.Split(said(), "\n") {
		if strings.HasPrefix(line, "exception:") || strings.HasPrefix(line, "console:") && !strings.Contains(line, "[DOM]") && !strings.Contains(line, "401") {
			t.Errorf("the browser says %s", line)
		}
		if strings.HasPrefix(line, "request:") && !strings.Contains(line, v.url) && !strings.Contains(line, "data:") {
			t.Errorf("a page asks elsewhere: %s", line)
		}
	}
}

// errorsOf are the errors that a page shows.
func errorsOf(ctx context.Context) string {
	var text string
	_ = chromedp.Run(ctx, chromedp.Evaluate(`[...document.querySelectorAll(".error, .said, .notice")].map((e) => e.textContent).join(" | ")`, &text))
	return text
}

// tooWide lists the elements that do not fit the screen, if it has to be scrolled sideways.
const tooWide = `document.documentElement.scrollWidth <= innerWidth ? [] :
	[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120)).slice(-3)`

// TestConsoleIsAccessible checks each page by axe-core, on a small light screen and on a
// wide dark one.
func TestConsoleIsAccessible(t *testing.T) {
	v := startVaulted(t)
	v.secret("api_token", "serviceId="+v.id, "the-token-of-the-service", nil)
	execution := v.call(v.owner, http.MethodPost, v.endpoint, document{"$secrets": document{"db_password": "the-password-of-a-request"}, "$tags": []string{"nightly"}}, http.StatusCreated).text("id")
	v.result(v.owner, v.endpoint, execution)
	pool := v.newPool(v.owner, "models", map[string]string{"weights.csv": "1,2,3"})
	ctx, step, _ := browse(t)
	axe := webtest.Axe(t)
	step("the sign-in", chromedp.Navigate(v.url+"/"), chromedp.WaitVisible("#sign-in"), axe)
	step("sign in", chromedp.SendKeys("#token", v.owner), chromedp.Submit("#sign-in"), shown("h2", "teller"))
	pages := append(pagesOf(v.deployed, v.app, pool, execution), v.path()+"/docs", v.path()+"/docs/reference")
	for scheme, width := range map[string]int64{"light": 320, "dark": 1600} {
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
		for _, path := range pages {
			var wide []string
			err := chromedp.Run(ctx, emulation.SetEmulatedMedia().WithFeatures(features), chromedp.EmulateViewport(width, 800),
				chromedp.Navigate(v.url+path), becomes(`document.querySelector("h1") !== null`), axe, chromedp.Evaluate(tooWide, &wide))
			if err != nil || len(wide) > 0 {
				t.Errorf("%s, %s, %d pixels wide: %v, wider than the screen: %q; want neither", path, scheme, width, err, wide)
			}
		}
	}
}
