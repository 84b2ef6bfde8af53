package hub_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// pictures is a folder for the pictures of the documents; see `make docs`.
const pictures = "QHUBCTL_TEST_PICTURES"

// TestConsolePictures takes the pictures of docs/console.md of a platform at work.
func TestConsolePictures(t *testing.T) {
	dir := os.Getenv(pictures)
	if dir == "" {
		t.Skip("pictures are taken by make docs, which sets " + pictures)
	}
	p := start(t, filepath.Join(t.TempDir(), "data"))
	forecast := p.deploy("forecast", "1.2.0", built(t, "forecast"), "SUCCESS")
	teller := p.deploy("ledger", "3.0.1", teller(t), "SUCCESS")
	greeter := p.deploy("greeter", "0.9.0", built(t, "greeter"), "SUCCESS")
	for _, d := range []deployed{forecast, teller, greeter} {
		p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+d.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	}
	for _, name := range []string{"api_token", "unused_key"} {
		p.call(p.owner, http.MethodPut, secretsPath+"/"+name+"?serviceId="+forecast.id, document{"value": "a value for a picture"}, http.StatusOK)
	}
	p.call(p.owner, http.MethodPost, secretsPath+"/api_token/rotate?serviceId="+forecast.id, document{"value": "another value for a picture"}, http.StatusOK)
	p.application(p.owner, "shop", forecast.id, greeter.id)
	_, step, _ := browse(t)
	take := func(name string) chromedp.Action {
		return chromedp.ActionFunc(func(ctx context.Context) error {
			var png []byte
			if err := chromedp.Run(ctx, becomes(`document.readyState === "complete"`), chromedp.CaptureScreenshot(&png)); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
		})
	}
	p.runs(forecast, document{"data": document{"place": "Oslo", "days": 2}})
	step("sign in", chromedp.EmulateViewport(1200, 620), chromedp.Navigate(p.url+"/"), chromedp.SendKeys("#token", p.owner), chromedp.Submit("#sign-in"), shown("h2", "forecast"))
	step("audit", chromedp.Navigate(p.url+"/audit"), shown("td", "rotateSecret"), take("audit"))
	for i := range 34 {
		days := 2 + i*5%8
		if i%11 == 7 {
			days = 12
		}
		p.runs(forecast, document{"data": document{"place": []string{"Oslo", "Bergen", "Trondheim"}[i%3], "days": days}, "$tags": []string{"nightly"}})
		if i%2 == 0 {
			p.runs(teller, document{"$secrets": document{"api_token": fmt.Sprint("token ", i, " of a picture"), "db_password": "password of a picture"}})
		}
	}
	last := p.job(document{"serviceId": forecast.id, "input": document{"data": document{"place": "Oslo", "days": 5}}, "tags": []string{"nightly"}, "storeInput": true}).text("id")
	step("the services", chromedp.EmulateViewport(1200, 400), chromedp.Navigate(p.url+"/"), shown("h2", "forecast"), take("services"))
	step("an execution", chromedp.EmulateViewport(1200, 1490), chromedp.Navigate(p.url+"/executions/"+last), shown(".line", "[redacted]"), take("execution"))
	step("secrets", chromedp.EmulateViewport(1200, 760), chromedp.Navigate(p.url+"/secrets?serviceId="+forecast.id), shown("td", "stored"), take("secrets"))
}

// runs starts an execution, and returns its id once it has ended.
func (p *platform) runs(d deployed, body document) string {
	p.Helper()
	id := p.call(p.owner, http.MethodPost, d.endpoint, body, http.StatusCreated).text("id")
	p.call(p.owner, http.MethodGet, d.endpoint+"/"+id+"?wait=60s", nil, http.StatusOK)
	return id
}
