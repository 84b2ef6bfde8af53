package platformapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// TestLongAnswers lets a handler work for longer than a body may take to arrive. Neither
// its context ends, nor that of the next request of the same connection.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	api := platformapi.New(platformapi.Options{})
	const bodyTime = 50 * time.Millisecond
	api.SetBodyTime(bodyTime)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		platformapi.Stream(api, platformapi.Route{Method: method, Path: "/long", ID: method, Public: true},
			func(ctx context.Context, _ *struct{}, w http.ResponseWriter, r *http.Request) error {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
				case <-time.After(4 * bodyTime):
				}
				platformapi.WriteText(w, http.StatusOK, "text/plain", fmt.Append(nil, ctx.Err()))
				return nil
			})
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodGet} {
		body := ""
		if method == http.MethodPost {
			body = "something"
		}
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/long", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatalf("%s = %v, want an answer", method, err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || string(text) != "<nil>" {
			t.Errorf("%s = %d %s, %v, want a context that has not ended", method, response.StatusCode, text, err)
		}
	}
}
