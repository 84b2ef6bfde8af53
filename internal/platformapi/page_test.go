package platformapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// TestLists reads parts of a plain list and of a page document.
func TestLists(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c", "d", "e"}
	api := platformapi.New(platformapi.Options{Auth: reader{}})
	platformapi.Register(api, platformapi.Route{Method: http.MethodGet, Path: "/list", ID: "list", Right: access.Read},
		func(_ context.Context, in *platformapi.PageQuery) (*platformapi.List[string], error) {
			return platformapi.ListOf(in, all), nil
		})
	platformapi.Register(api, platformapi.Route{Method: http.MethodGet, Path: "/pages", ID: "pages", Right: access.Read},
		func(_ context.Context, in *platformapi.PageQuery) (*platformapi.Body[platformapi.Page[string]], error) {
			offset, limit := in.Bounds()
			return platformapi.PageOf(in, all[min(offset, len(all)):min(offset+limit, len(all))], len(all)), nil
		})
	for path, want := range map[string]struct {
		status     int
		body, link string
	}{
		"/list":                     {200, `["a","b","c","d","e"]`, ""},
		"/list?size=2":              {200, `["a","b"]`, `</list?page=1&size=2>; rel="next"`},
		"/list/?page=1&size=2&q=<x": {200, `["c","d"]`, `</list?page=0&q=%3Cx&size=2>; rel="prev", </list?page=2&q=%3Cx&size=2>; rel="next"`},
		"/list?page=2&size=2":       {200, `["e"]`, `</list?page=1&size=2>; rel="prev"`},
		"/list?page=7&size=2":       {200, `[]`, `</list?page=6&size=2>; rel="prev"`},
		"/list?size=0":              {400, "query.size", ""},
		"/list?size=1001":           {400, "query.size", ""},
		"/list?page=-1":             {400, "query.page", ""},
		"/list?page=x":              {400, "query.page", ""},
		"/pages": {200, `{"content":["a","b","c","d","e"],"page":0,"size":20,"totalElements":5,"totalPages":1,"first":true,"last":true,` +
			`"number":0,"numberOfElements":5,"empty":false}`, ""},
		"/pages?page=2&size=2": {200, `{"content":["e"],"page":2,"size":2,"totalElements":5,"totalPages":3,"first":false,"last":true,` +
			`"number":2,"numberOfElements":1,"empty":false}`, ""},
	} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.body) || w.Header().Get("Link") != want.link {
			t.Errorf("GET %s = %d %s, Link %s; want %d %s, Link %s", path, w.Code, w.Body, w.Header().Get("Link"), want.status, want.body, want.link)
		}
		if total := w.Header().Get("X-Total-Count"); want.status == 200 && strings.HasPrefix(path, "/list") && total != "5" {
			t.Errorf("GET %s: X-Total-Count = %q, want 5", path, total)
		}
	}
}

// TestStreams answer piece by piece: an error before the first piece is a problem, and one
// after it breaks the answer off.
func TestStreams(t *testing.T) {
	t.Parallel()
	api := platformapi.New(platformapi.Options{Auth: reader{}})
	platformapi.Stream(api, platformapi.Route{Method: http.MethodPost, Path: "/{what...}", ID: "stream", Right: access.Read},
		func(ctx context.Context, in *struct {
			What string `path:"what"`
		}, w http.ResponseWriter, r *http.Request,
		) error {
			var body struct{ Word string }
			if in.What == "json" {
				if err := platformapi.ReadJSON(w, r, &body); err != nil {
					return err
				}
				return platformapi.WriteJSON(w, http.StatusOK, body.Word+access.From(ctx).ID+platformapi.Origin(ctx))
			}
			if in.What != "a/early" {
				if err := platformapi.Copy(w, platformapi.Patient(w, r.Body)); err != nil {
					return err
				}
			}
			return access.ErrConflict
		})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	for _, c := range []struct {
		path, body string
		status     int // zero: the answer breaks off
		want       string
	}{
		{"/json", `{"word":"x","other":1}`, 200, `"xapp` + server.URL + `"`},
		{"/json", `{"word":1}`, 400, "The member"},
		{"/json", `{"word":"x"} y`, 400, "not a JSON document"},
		{"/json", `{"word":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1024 KiB"},
		{"/a/early", "", 409, "errorMessage"},
		{"/late", strings.Repeat("x", 1<<16), 0, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			if c.status != 0 {
				t.Errorf("POST %s = %v, want %d", c.path, err, c.status)
			}
			continue
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if c.status == 0 {
			if err == nil {
				t.Errorf("POST %s = %d with a whole body of %d bytes, want it broken off", c.path, response.StatusCode, len(text))
			}
			continue
		}
		if err != nil || response.StatusCode != c.status || !strings.Contains(string(text), c.want) {
			t.Errorf("POST %s with %.40s = %d %s, %v; want %d %s", c.path, c.body, response.StatusCode, text, err, c.status, c.want)
		}
	}
}
