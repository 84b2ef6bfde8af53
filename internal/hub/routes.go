package hub

import (
	"context"
	"net/http"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
)

// catalog is the base path of the platform API.
const catalog = "/qc-catalog"

// ServeHTTP implements [http.Handler].
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.Path) > len(gatewayBase) && r.URL.Path[:len(gatewayBase)+1] == gatewayBase+"/" {
		h.gateway.ServeHTTP(w, r) // not by the mux, which redirects
		return
	}
	if trimmed := strings.TrimSuffix(r.URL.Path, "/"); trimmed != r.URL.Path && strings.HasPrefix(trimmed, catalog+"/") {
		r = withPath(r, trimmed)
	}
	h.mux.ServeHTTP(w, r)
}

// withPath is a request with another path: with and without a slash at its end is the
// same, without a redirect that would lose the body.
func withPath(r *http.Request, path string) *http.Request {
	other := *r
	u := *r.URL
	u.Path, u.RawPath = path, strings.TrimSuffix(u.RawPath, "/")
	other.URL = &u
	return &other
}

// A route is one operation of the platform API, and the right that it needs.
type route struct {
	pattern string
	right   access.Right
	do      action
}

// operations are those of the platform API. The list is what the documentation and the
// test of rights go through.
func (h *Hub) operations() []route {
	return []route{
		{"GET /services", access.ViewTenant, h.listServices},
		{"GET /services/name-available", access.ViewTenant, h.nameAvailable},
		{"GET /services/{id}", access.ViewTenant, h.getService},
		{"DELETE /services/{id}", access.DeleteService, h.deleteService},
		{"PUT /services/{id}/display-name", access.Deploy, h.setDisplayName},
		{"PUT /services/{id}/summary", access.Deploy, h.setSummary},
		{"PUT /services/{id}/description", access.Deploy, h.setDescription},
		{"PUT /services/{id}/contacts", access.Deploy, h.setContacts},
		{"PUT /services/{id}/links", access.Deploy, h.setLinks},
		{"GET /services/{id}/openapi", access.ViewTenant, h.getOpenAPI},
		{"PUT /services/{id}/publication", access.Publish, h.publish},
		{"DELETE /services/{id}/publication", access.Publish, h.unpublish},
		{"GET /services/{id}/subscriptions", access.ViewTenant, h.listSubscriptions},
		{"GET /services/{id}/versions", access.ViewTenant, h.listVersions},
		{"GET /services/{id}/revisions", access.ViewTenant, h.listRevisions},
		{"GET /services/{id}/revisions/{revision}", access.ViewTenant, h.getRevision},
		{"GET /services/{id}/revisions/{revision}/build-logs", access.ViewTenant, h.revisionLog},
		{"PUT /services/{id}/revisions/{revision}/activation", access.Deploy, h.activate},

		{"POST /managed-services", access.Deploy, h.createManaged},
		{"PUT /managed-services/{id}/source/file", access.Deploy, h.upload},
		{"GET /managed-services/{id}/source", access.ViewTenant, h.download},
		{"PUT /managed-services/{id}/build", access.Deploy, h.build},
		{"GET /managed-services/{id}/build-status", access.ViewTenant, h.buildStatus},
		{"GET /managed-services/{id}/build-logs", access.ViewTenant, h.buildLogs},
		{"PUT /managed-services/{id}/runtime-configuration", access.Deploy, h.configureRuntime},
		{"PUT /managed-services/{id}/resource-configuration", access.Deploy, h.configureResource},
		{"POST /deployments", access.Deploy, h.deploy},

		{"POST /service-jobs", access.RunJob, h.startJob},
		{"GET /service-jobs", access.ViewTenant, h.listJobs},
		{"GET /service-jobs/{id}", access.ViewTenant, h.getExecution},
		{"GET /service-executions", access.ViewTenant, h.listExecutions},
		{"GET /service-executions/{id}", access.ViewTenant, h.getExecution},
		{"PUT /service-executions/{id}/cancel", access.RunJob, h.cancelExecution},
		{"GET /service-executions/{id}/results", access.ViewTenant, h.executionResult},
		{"GET /service-executions/{id}/results/{file...}", access.ViewTenant, h.executionFile},
		{"GET /service-executions/{id}/logs", access.ViewTenant, h.executionLog},
	}
}

func (h *Hub) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, o := range h.operations() {
		method, path, _ := strings.Cut(o.pattern, " ")
		mux.Handle(method+" "+catalog+path, h.handle(o.right, o.do))
	}
	for pattern, handler := range h.Mounts {
		mux.Handle(pattern, handler)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { probe(w, true) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, h.ready.Load()) })
	if _, mounted := h.Mounts["/"]; mounted {
		return mux
	}
	mux.Handle("/", h.handle(access.Identify, func(context.Context, *call) error { return errNotFound }))
	return mux
}

// probe answers whoever asks whether the server lives.
func probe(w http.ResponseWriter, ok bool) {
	secure(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("not ready\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
