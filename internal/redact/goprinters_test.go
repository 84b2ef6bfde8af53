package redact

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"text/template"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestGoPrinters masks what Go's packages make of secrets.
func TestGoPrinters(t *testing.T) {
	t.Parallel()
	quoted := func(text string) string {
		out, _ := json.Marshal(text) // a string cannot fail
		return string(out)
	}
	printers := map[string]func(out *bytes.Buffer, secret string){
		"net/url": func(out *bytes.Buffer, secret string) {
			u := url.URL{Scheme: "https", User: url.UserPassword("user", secret), Host: "host.example", Path: "/" + secret, RawQuery: url.Values{"q": {secret}}.Encode(), Fragment: secret}
			_, err := url.Parse("https://host.example:" + secret)
			fmt.Fprintln(out, u.String(), u.EscapedPath(), &url.Error{Op: "Get", URL: u.String(), Err: errors.New("refused")}, err)
		},
		"net/http": func(out *bytes.Buffer, secret string) {
			request, _ := http.NewRequest(http.MethodGet, "http://host.example/", http.NoBody) //nolint:noctx // it is not sent
			request.SetBasicAuth("user", secret)
			request.Header.Set("X-Token", url.QueryEscape(secret))
			fmt.Fprintf(out, "%v %#v\n", request.Header, request.Header)
		},
		"slog": func(out *bytes.Buffer, secret string) {
			for _, handler := range []slog.Handler{slog.NewJSONHandler(out, nil), slog.NewTextHandler(out, nil)} {
				slog.New(handler).Info("sent "+secret, "token", secret, "body", quoted(`{"t":`+quoted(secret)+`}`), "error", errors.New(secret))
			}
		},
		"templates": func(out *bytes.Buffer, secret string) {
			const text = "<a href=\"/?q={{.}}\" title='{{.}}'>{{.}}</a><script>var t = {{.}};</script>\n"
			_ = template.Must(template.New("").Parse("{{.}} {{. | html}} {{. | js}} {{. | urlquery}} {{printf \"%q\" .}}\n")).Execute(out, secret)
			_ = htmltemplate.Must(htmltemplate.New("").Parse(text)).Execute(out, secret)
		},
		"encoding/xml": func(out *bytes.Buffer, secret string) {
			_ = xml.NewEncoder(out).Encode(struct {
				XMLName xml.Name `xml:"login"`
				Token   string   `xml:"token,attr"`
				Text    string
			}{Token: secret, Text: secret})
		},
		"fmt": func(out *bytes.Buffer, secret string) {
			fmt.Fprintf(out, "%q %+q %x % X %v %#v %U\n", secret, secret, secret, secret, []byte(secret[:0]), map[string]string{"t": secret}, []rune(secret)[:1])
		},
	}
	for _, s := range redacttest.PrintedSecrets() {
		m := newMasker([]byte(s.Value))
		for name, printed := range printers {
			var out bytes.Buffer
			printed(&out, s.Value)
			if redacttest.FindStretch(out.String(), s.Shown) == "" {
				t.Errorf("%s does not show the secret %s without the masker", name, s.Name)
			}
			for _, size := range []int{1, 50, out.Len()} {
				if left := redacttest.FindStretch(string(maskInPieces(t, m, out.Bytes(), size)), s.Shown); left != "" {
					t.Errorf("%s with the secret %s in pieces of %d leaves %s", name, s.Name, size, left)
				}
			}
		}
	}
}
