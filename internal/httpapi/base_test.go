package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/web"
)

// mounted is a service whose API answers below a base path.
type mounted struct {
	*fakeService
	base string
}

// mount puts two services under two paths, one of which begins like the other.
func mount(t *testing.T) (http.Handler, []mounted) {
	t.Helper()
	mux := http.NewServeMux()
	services := []mounted{{newFake(t), "/gateway/a-tenant/adder/1"}, {newFake(t), "/gateway/a-tenant/adder/10"}}
	for _, s := range services {
		api := httpapi.New(httpapi.Options{
			Service: s.fakeService, LoopbackOnly: true, Base: s.base, Home: web.Home,
			Pages: web.Pages(s.base, func(context.Context) (web.Service, error) {
				return web.Service{Name: s.base, Signature: s.revision.Signature, Request: s.revision.Signature}, nil
			}),
		})
		mux.Handle(s.base, api)
		mux.Handle(s.base+"/", api)
	}
	return mux, services
}

// TestTwoServicesUnderTwoPaths calls two services in one server, each by the
// addresses that its answers hold.
func TestTwoServicesUnderTwoPaths(t *testing.T) {
	t.Parallel()
	handler, services := mount(t)
	for i, s := range services {
		for _, root := range []string{s.base, s.base + "/"} {
			w := ask(handler, "POST", root, accepted)
			if location := w.Header().Get("Location"); w.Code != http.StatusCreated || !strings.HasPrefix(location, s.base+"/") {
				t.Fatalf("POST %s = %d, Location %q; want 201 below %s", root, w.Code, location, s.base)
			}
			if w := ask(handler, "GET", w.Header().Get("Location"), ""); w.Code != http.StatusOK {
				t.Errorf("GET the Location = %d, want 200", w.Code)
			}
		}
		e := s.finished(execution.Succeeded, `{"a": 1}`, map[string]string{"plots/a b.txt": "x", "status": "y"})
		w := ask(handler, "GET", s.base+"/?limit=1", "", "Accept", "application/json")
		next := regexp.MustCompile(`^<([^>]+)>; rel="next"$`).FindStringSubmatch(w.Header().Get("Link"))
		if next == nil || !strings.HasPrefix(next[1], s.base+"/?") {
			t.Fatalf("GET a page: Link %q, want the next page below %s", w.Header().Get("Link"), s.base)
		}
		if w := ask(handler, "GET", next[1], ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"PENDING"`) {
			t.Errorf("GET the next page = %d %s, want 200 and the executions of this service", w.Code, w.Body)
		}
		s.wantLinks(t, handler, e.ID)
		other := services[1-i]
		wantProblem(t, ask(handler, "GET", other.base+"/"+e.ID.String(), ""), http.StatusNotFound)
		wantProblem(t, ask(handler, "PUT", other.base+"/"+e.ID.String()+"/cancel", ""), http.StatusNotFound)
	}
}

// wantLinks follows the links of a result.
func (s mounted) wantLinks(t *testing.T, handler http.Handler, id execution.ID) {
	t.Helper()
	w := ask(handler, "GET", s.base+"/"+id.String()+"/result", "")
	var document struct {
		Links map[string]struct{ Href string } `json:"_links"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || len(document.Links) != 3 {
		t.Fatalf("GET a result = %d %s, want 3 links: %v", w.Code, w.Body, err)
	}
	for name, link := range document.Links {
		if w := ask(handler, "GET", link.Href, ""); w.Code != http.StatusOK || !strings.HasPrefix(link.Href, s.base+"/") {
			t.Errorf("GET the link %s, %s = %d, want 200 below %s", name, link.Href, w.Code, s.base)
		}
	}
}

var linkPattern = regexp.MustCompile(`(?:href|src)="([^"#]+)"`)

// TestPagesUnderAPath follows all links of the pages, and the server of the
// description.
func TestPagesUnderAPath(t *testing.T) {
	t.Parallel()
	handler, services := mount(t)
	for _, s := range services {
		w := ask(handler, "GET", s.base, "", "Accept", "text/html")
		if home := w.Header().Get("Location"); w.Code != http.StatusSeeOther || home != s.base+web.Home {
			t.Errorf("GET %s as a browser = %d, Location %q; want 303, %s", s.base, w.Code, home, s.base+web.Home)
		}
		for _, page := range []string{web.Home, web.Reference} {
			w := ask(handler, "GET", s.base+page, "")
			var links []string
			for _, match := range linkPattern.FindAllStringSubmatch(w.Body.String(), -1) {
				links = append(links, match[1])
			}
			if w.Code != http.StatusOK || len(links) < 5 {
				t.Fatalf("GET %s = %d with the links %q, want 200 with 5 or more", page, w.Code, links)
			}
			for _, link := range links {
				if w := ask(handler, "GET", link, ""); w.Code != http.StatusOK || !strings.HasPrefix(link, s.base+"/") {
					t.Errorf("GET %s, a link of %s = %d, want 200 below %s", link, page, w.Code, s.base)
				}
			}
		}
		w = ask(handler, "GET", s.base+"/openapi.json", "")
		var document struct{ Servers []struct{ URL string } }
		if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || len(document.Servers) != 1 {
			t.Fatalf("GET openapi.json = %d, want one server: %v", w.Code, err)
		}
		u, err := url.Parse(document.Servers[0].URL)
		if err != nil || u.Path != s.base {
			t.Errorf("the server of the description is %s, want the path %s", document.Servers[0].URL, s.base)
		}
	}
}

// TestOutsideTheBase asks an API for paths that are not below its base.
func TestOutsideTheBase(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	api := httpapi.New(httpapi.Options{Service: f, Base: "/a/b/"})
	e := f.finished(execution.Succeeded, `1`, nil)
	for _, path := range []string{"/", "/a", "/a/", "/a/bc", "/" + e.ID.String(), "/a/" + e.ID.String(), "/a/b/../b/", "/a%2Fb/", "/a/b//"} {
		wantProblem(t, ask(api, "GET", path, ""), http.StatusNotFound)
	}
	for _, path := range []string{"/a/b", "/a/b/", "/a/b/" + e.ID.String(), "/a/b/openapi.json"} {
		if w := ask(api, "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", path, w.Code)
		}
	}
}
