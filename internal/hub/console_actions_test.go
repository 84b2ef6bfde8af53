package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// confirmed clicks a button, and says yes.
func confirmed(selector string) chromedp.Tasks {
	return chromedp.Tasks{click(selector), becomes(`document.querySelector("#ask").open`), click("#ask button.primary")}
}

// choose chooses an option by its text, once the scripts of the page have run.
func choose(selector, text string) chromedp.Action {
	return becomes(fmt.Sprintf(`((s) => {
		const option = document.readyState === "complete" && [...(s?.options ?? [])].find((o) => o.text === %q);
		if (!option) return false;
		s.value = option.value;
		s.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})(document.querySelector(%q))`, text, selector))
}

// retried does an action that fails where the page has just changed.
func retried(a chromedp.Action) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for attempt := 0; ; attempt++ {
			if err := a.Do(ctx); err == nil || attempt == 20 {
				return err
			}
			if err := chromedp.Sleep(50 * time.Millisecond).Do(ctx); err != nil {
				return err
			}
		}
	})
}

// TestConsoleActions does in a real browser what the pages offer, beside the newcomer's way.
func TestConsoleActions(t *testing.T) {
	v := startVaulted(t)
	next := v.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	v.secret("api_token", "serviceId="+v.id, "the-token-of-the-service", nil)
	body := document{"hold": "yes", "$secrets": document{"db_password": "the-password-of-a-request"}}
	held := v.call(v.owner, http.MethodPost, v.endpoint, body, http.StatusCreated).text("id")
	upload := filepath.Join(t.TempDir(), "weights.csv")
	if err := os.WriteFile(upload, []byte("1,2,3"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, step, said := browse(t)
	step("sign in", chromedp.Navigate(v.url+"/"), chromedp.SendKeys("#token", v.owner), chromedp.Submit("#sign-in"), shown("h2", "teller"))

	step("see a build", chromedp.Navigate(v.url+"/services/"+v.id+"/revisions/"+next.revision), shown("h1", "Revision 2"), shown(".state", "SUCCESS"))
	step("activate an older revision", chromedp.Navigate(v.url+"/services/"+v.id), confirmed(`form[data-action*="/activation"] button`),
		becomes(`[...document.querySelectorAll("tr")].some((r) => r.textContent.includes("active") && r.querySelector("a")?.textContent === "1")`))

	step("see that it runs", chromedp.Navigate(v.url+"/executions/"+held), shown(".state", "RUNNING"))
	step("cancel it", confirmed(`form[data-action$="/cancel"] button`), shown("[data-execution-state]", "CANCELLED"))
	step("filter the list", chromedp.Navigate(v.url+"/executions"), shown("td", "CANCELLED"),
		choose("#status", "FAILED"),
		becomes(`location.search.includes("status=FAILED")`), shown(".empty", "No execution"))

	step("make a data pool", chromedp.Navigate(v.url+"/pools"), chromedp.SendKeys("#name", "models"), click("form[data-action] button"), shown("h1", "models"))
	step("upload a file", becomes(`document.readyState === "complete"`), retried(chromedp.SetUploadFiles("#upload", []string{upload})), shown("td", "weights.csv"))
	step("delete the file", confirmed("td form[data-action^=DELETE] button"), becomes(`document.querySelector("td") === null`))
	step("delete the pool", confirmed(".title button"), becomes(`location.pathname === "/pools"`))

	step("end a subscription", chromedp.Navigate(v.url+"/applications/"+v.app), confirmed(`form[data-action*="/subscriptions/"] button`), shown("p", "subscribed to no service"))
	step("subscribe again", click(`form[data-action="POST /qc-catalog/subscriptions"] button`), shown("li a", "teller"))
	step("rotate a key", confirmed(`form[data-action$="/rotate"] button`), shown("#shown code", "qhs_"))
	step("revoke a key", chromedp.Reload(), confirmed(`form[data-action*="/access-keys/"][data-action^=DELETE] button`), becomes(`document.querySelectorAll("tbody tr").length === 1`))

	step("delete a secret", chromedp.Navigate(v.url+"/secrets/api_token?serviceId="+v.id), confirmed(".title button"), becomes(`location.pathname === "/secrets"`), becomes(`!document.body.textContent.includes("version 1")`))

	step("find the sign-in in the audit log", chromedp.Navigate(v.url+"/audit?action=login"), shown("td code", "login"))
	step("make an organization", chromedp.Navigate(v.url+"/members"), chromedp.SendKeys("#name", "Night shift"), click("form[data-action] button"), shown("option", "Night shift"))
	step("act for it", choose("#account", "Night shift"),
		becomes(`document.querySelector("#account")?.selectedOptions[0].text === "Night shift" && document.readyState === "complete" && location.pathname === "/"`))
	step("see nothing of the other account", becomes(`document.querySelector("h1") !== null && !document.body.textContent.includes("teller")`), chromedp.Navigate(v.url+"/executions"),
		becomes(`document.querySelector("h1") !== null && document.querySelector("td") === null`))
	step("invite somebody", chromedp.Navigate(v.url+"/members"), click(`form[data-action$="/invitations"] button`), becomes(`document.querySelector("[data-shown=token]").textContent.length > 20`))
	step("be the last owner", choose("td select", "viewer"), click("td form button"), shown(".error", "needs an OWNER"))
	for line := range strings.Lines(said()) {
		if strings.HasPrefix(line, "exception:") || strings.HasPrefix(line, "console: Failed") && !strings.Contains(line, "409") {
			t.Errorf("the browser says %s", line)
		}
	}
}
