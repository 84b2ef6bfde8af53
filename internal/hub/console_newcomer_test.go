package hub_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// setSecretForm fills the form of a secret on the page Secrets of a service, and sends it.
func (v *vaulted) setSecretForm(name string, value chromedp.Action) chromedp.Tasks {
	return chromedp.Tasks{
		chromedp.Navigate(v.url + "/secrets?serviceId=" + v.id), becomes(`document.readyState === "complete"`),
		chromedp.SendKeys("#set-name", name), value, click("form[data-action^=PUT] button.primary"),
	}
}

const pasteKey = `((field) => {
	const data = new DataTransfer();
	data.setData("text/plain", "-----BEGIN KEY-----\r\nc2VjcmV0LWtleQ\r\n-----END KEY-----\r\n");
	field.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true}));
	return field.value === "•".repeat(12);
})(document.querySelector("#set-value"))`

// TestConsoleSecretForms sets secrets of several lines, and sees warnings.
func TestConsoleSecretForms(t *testing.T) {
	v := startVaulted(t)
	const key = "-----BEGIN KEY-----\nc2VjcmV0LWtleQ\n-----END KEY-----"
	dir := t.TempDir()
	pem, binary := filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.bin")
	for path, content := range map[string]string{pem: key + "\n", binary: "\xff\xfe\x00"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, step, _ := browse(t)
	step("sign in", chromedp.Navigate(v.url+"/"), chromedp.SendKeys("#token", v.owner), chromedp.Submit("#sign-in"), shown("h2", "teller"), shown(".notice", "2 missing"))
	step("set a short one that no parameter has", v.setSecretForm("api_tokn", chromedp.SendKeys("#set-value", "abc")),
		shown(".notice.warn", "shorter than 8 characters"), shown(".notice.warn", "No parameter of the service has the name api_tokn"), shown("td", "no parameter has this name"))
	step("refuse a file that is no text", v.setSecretForm("api_token", retried(chromedp.SetUploadFiles("[data-secret-file]", []string{binary}))), shown(".error", "not UTF-8"))
	step("set one from a file", v.setSecretForm("api_token", chromedp.Tasks{retried(chromedp.SetUploadFiles("[data-secret-file]", []string{pem})), shown("[data-secret-note]", "3 lines of key.pem")}),
		shown("td", "stored, version 1"), becomes(`document.querySelector(".notice.warn") === null`))
	step("paste one", v.setSecretForm("db_password", chromedp.Tasks{becomes(pasteKey), shown("[data-secret-note]", "3 lines pasted")}),
		becomes(`[...document.querySelectorAll("td")].filter((e) => e.textContent === "stored, version 1").length === 2`))
	step("type over a pasted one", chromedp.Navigate(v.url+"/secrets/db_password?serviceId="+v.id), becomes(`document.readyState === "complete"`),
		becomes(strings.ReplaceAll(pasteKey, "set-value", "new-value")), chromedp.SendKeys("#new-value", "typed-over-it"), becomes(`document.querySelector("#new-value").value === "typed-over-it"`),
		click("form[data-action*=rotate] button.primary"), shown("dd", "2"))
	result := v.run(v.owner, v.endpoint, document{})
	if result.text("api_token") != digestOf(key) || result.text("db_password") != digestOf("typed-over-it") {
		t.Errorf("the execution got other values than the browser sent: %v", result)
	}
}

// TestConsoleShowsWhatRan runs a service on its page, where it fails, and reads on both
// pages why, what to do, and what ran.
func TestConsoleShowsWhatRan(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	forecast := p.deploy("forecast", "1.2.0", built(t, "forecast"), "SUCCESS")
	p.call(p.owner, http.MethodPut, secretsPath+"/api_token?serviceId="+forecast.id, document{"value": "a-token-of-the-weather"}, http.StatusOK)
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+forecast.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer := p.application(p.owner, "shop", forecast.id)
	ofShop := p.call(bearer, http.MethodPost, forecast.endpoint, document{"data": document{"place": "Oslo"}}, http.StatusCreated).text("id")
	_, step, _ := browse(t)
	const advice = "The end of the log below shows where the service failed."
	step("sign in", chromedp.Navigate(p.url+"/"), chromedp.SendKeys("#token", p.owner), chromedp.Submit("#sign-in"), shown("h2", "forecast"))
	step("run it", chromedp.Navigate(p.url+forecast.path()+"/docs"), shown("a", "Store secrets for all executions"), becomes(`document.readyState === "complete"`),
		chromedp.SendKeys("[data-path='data.place'] input", "Oslo"), chromedp.SendKeys("[data-path='data.days'] input", "12"), click("#start"), shown("#state", "FAILED"),
		shown("#problem", advice), becomes(`/(UTC|GMT|[A-Z]{3,4}T)/.test(document.querySelector("#times").textContent)`))
	step("read why", click("#execution-page"), shown(".notice.bad", advice), shown("dd", "owner"), shown("dd", "1.2.0"), shown("dd a", "revision 1"), shown(".tree", "Oslo"), shown(".leaf", "12"),
		becomes(`!document.body.textContent.includes("a-token-of-the-weather")`))
	step("run it again", chromedp.Evaluate(`window.former = true; 0`, nil), click(`form[data-action$="/rerun"] button`), becomes(`window.former === undefined`), shown("[data-execution-state]", "FAILED"), shown(".tree", "Oslo"))
	step("see the execution of an application", chromedp.Navigate(p.url+"/executions/"+ofShop), shown("dd a", "shop"), shown("p", "It was not kept"))
	step("see both in the list", chromedp.Navigate(p.url+"/executions"), shown("td", "owner"), shown("td a", "shop"))
	step("keep no input with a secret", chromedp.Navigate(p.url+forecast.path()+"/docs"), becomes(`document.readyState === "complete"`),
		chromedp.SendKeys("[data-path='data.place'] input", "at another-token-of-it"), chromedp.SendKeys("[data-path='$secrets.api_token'] input[type=password]", "another-token-of-it"),
		click("#start"), shown("#state", "SUCCEEDED"), click("#execution-page"), shown("p", "It was not kept"), becomes(`!document.body.textContent.includes("another-token-of-it")`))
}

// TestConsoleAddresses asks as a browser for addresses that have nothing.
func TestConsoleAddresses(t *testing.T) {
	v := startVaulted(t)
	execution := v.call(v.owner, http.MethodPost, v.endpoint, document{"$secrets": document{"api_token": "the-token-of-a-request", "db_password": "the-password-of-a-request"}}, http.StatusCreated).text("id")
	v.result(v.owner, v.endpoint, execution)
	pool := v.newPool(v.owner, "models", map[string]string{"weights.csv": "1,2,3"})
	visitor := v.visitor()
	nowhere := []string{"/nope", "/qc-catalog/nope", "/gateway/nope", "/gateway/a/b/c/docs", "/executions/nope", "/services/nope", "/docs/nope"}
	for _, path := range nowhere {
		response, _ := visitor.do(http.MethodGet, path, "", "", nil)
		if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || to != "/sign-in?to="+url.QueryEscape(path) {
			t.Errorf("GET %s without a session = %d to %q, want the sign-in", path, response.StatusCode, to)
		}
	}
	if response, text := visitor.do(http.MethodGet, "/nope", "", "", map[string]string{"Accept": "application/json"}); response.StatusCode != http.StatusNotFound || !strings.HasPrefix(text, "{") {
		t.Errorf("GET /nope of a program = %d %s, want a problem document", response.StatusCode, text)
	}
	visitor.signIn(v.owner)
	for _, path := range nowhere {
		response, text := visitor.do(http.MethodGet, path, "", "", nil)
		if response.StatusCode != http.StatusNotFound || !strings.Contains(text, "Nothing is here") || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			t.Errorf("GET %s = %d %.200s, want a page that says that nothing is here", path, response.StatusCode, text)
		}
	}
	titles := map[string]string{}
	for _, path := range append(pagesOf(v.deployed, v.app, pool, execution), v.path()+"/docs", v.path()+"/docs/reference") {
		_, text := visitor.do(http.MethodGet, path, "", "", nil)
		page, _, _ := strings.Cut(path, "?")
		title := regexp.MustCompile(`<title>(.*)</title>`).FindString(text)
		if other, taken := titles[title]; title == "" || taken && other != page {
			t.Errorf("GET %s has the title %q, as %q has; want another one", path, title, other)
		}
		titles[title] = page
	}
}

// TestTracebacksHaveRelativePaths lets a service fail, and looks for folders of the server.
func TestTracebacksHaveRelativePaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, dir)
	program := "def run(name: str = 'x') -> dict:\n    raise ValueError('no ' + name)\n"
	s := p.deploy("failing", "1.0.0", archiveOf(t, map[string][]byte{"src/__init__.py": nil, "src/program.py": []byte(program)}), "SUCCESS")
	id := p.call(p.owner, http.MethodPost, s.endpoint, document{}, http.StatusCreated).text("id")
	p.call(p.owner, http.MethodGet, s.endpoint+"/"+id+"?wait=60s", nil, http.StatusOK)
	status, text := p.send(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+id+"/logs", "", nil)
	if status != http.StatusOK || !strings.Contains(string(text), `File \"src/program.py\", line 2`) || strings.Contains(string(text), dir) {
		t.Errorf("the log is %s, want src/program.py and no folder of the server", text)
	}
}
