package hub

import (
	"context"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/web"
)

// noQuantum describes the API of quantum backends: this server has none. A published
// program does not start without it.
const noQuantum = `{"openapi":"3.1.0","info":{"title":"Quantum backends","description":"This server has no quantum backends.","version":"1"},"paths":{}}
`

// documentRoutes adds the description of the platform API, and the page that shows it.
// They say nothing about the server but what it can do, so they ask for no token.
func (h *Hub) documentRoutes(api *platformapi.API) {
	for _, at := range []struct {
		path, id, summary string
		text              func() ([]byte, error)
	}{
		{"/openapi.json", "getOpenApi", "Read the description of the platform API", api.OpenAPI},
		{catalog + "/docs", "getCatalogOpenApi", "Read the description of the routes below, relative to them", func() ([]byte, error) { return api.OpenAPIBelow(catalog) }},
		{"/quantum/docs", "getQuantumOpenApi", "Read the description of the API of quantum backends, which is empty", func() ([]byte, error) { return []byte(noQuantum), nil }},
	} {
		platformapi.Stream(api, platformapi.Route{
			Method: http.MethodGet, Path: at.path, ID: at.id, Summary: at.summary, Tag: tagServer, Public: true, Gives: platformapi.JSONOf[map[string]any](),
		}, func(_ context.Context, _ *none, w http.ResponseWriter, _ *http.Request) error {
			text, err := at.text()
			if err == nil {
				platformapi.WriteText(w, http.StatusOK, "application/json", text)
			}
			return err
		})
	}
	pages := web.PlatformPages("Platform API", h.Version)
	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodGet, Path: web.Home, ID: "getDocs", Tag: tagServer, Public: true,
		Summary: "Show the description of the platform API", Gives: []platformapi.Content{{Type: "text/html"}},
	}, func(_ context.Context, _ *none, w http.ResponseWriter, r *http.Request) error {
		pages[web.Home].ServeHTTP(w, r)
		return nil
	})
	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodGet, Path: web.Assets + "{name}", ID: "getDocsFile", Tag: tagServer, Public: true,
		Summary: "Read a file of the page that shows the description", Gives: []platformapi.Content{{Type: "text/javascript"}, {Type: "text/css"}, {Type: "image/svg+xml"}, {Type: "text/plain"}},
	}, func(_ context.Context, in *struct {
		Name string `path:"name" doc:"The name of the file."`
	}, w http.ResponseWriter, r *http.Request,
	) error {
		page, ok := pages[web.Assets+in.Name]
		if !ok {
			return errNotFound
		}
		page.ServeHTTP(w, r)
		return nil
	})
}
