// Package web holds the pages of a service: a form that starts an execution and follows
// it (/docs), and the reference of its API (/docs/reference); and that of a platform. All their files are in the
// binary; a browser loads nothing from elsewhere.
//
// The server makes the form of the signature. The user's input goes into one POST. Once it
// is accepted, the page clears its secrets. They never become part of the document, the
// address, or stored data.
package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/signature"
)

// The addresses of the pages.
const (
	Home      = "/docs"
	Reference = "/docs/reference"
	Assets    = "/docs/assets/"
)

//go:embed assets/*
var assets embed.FS

//go:embed docs.html reference.html
var templates embed.FS

var pages = template.Must(template.ParseFS(templates, "*.html"))

// A Service is the subject of the pages.
type Service struct {
	Name, Version, Description string
	// Signature is the service's, Request the one of a request, which may leave out
	// parameters that the server has.
	Signature, Request *signature.Signature
	// Console says that the server has a console, with a page for each execution. ID names
	// the service in it.
	Console bool
	ID      string
}

// A Describer returns the service at the time when a page is requested, or an error.
type Describer func(context.Context) (Service, error)

// Pages are the handlers by their paths, for an API that answers below a base path.
// The paths are relative to it, and all links in the pages begin with it.
func Pages(base string, service Describer) map[string]http.Handler {
	handlers := map[string]http.Handler{
		Home:      page("docs.html", formPolicy, base, service),
		Reference: page("reference.html", referencePolicy, base, service),
	}
	maps.Copy(handlers, assetHandlers())
	return handlers
}

// PlatformPages are the handlers, by their paths, of the reference of a platform's API,
// whose description is at /openapi.json.
func PlatformPages(name, version string) map[string]http.Handler {
	handlers := map[string]http.Handler{Home: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		write(w, "reference.html", referencePolicy, view{Name: name, Version: version, Alone: true})
	})}
	maps.Copy(handlers, assetHandlers())
	return handlers
}

// assetHandlers are those of the files that belong to the pages, of all services.
var assetHandlers = sync.OnceValue(func() map[string]http.Handler { return Files(assets, Assets) })

// Files are the handlers of the files in the folder assets of an embedded file system, by
// their paths below prefix. A file NAME.gz is sent as NAME.
func Files(files embed.FS, prefix string) map[string]http.Handler {
	handlers := map[string]http.Handler{}
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic(err) //nolint:forbidigo // the files are in the binary
	}
	for _, entry := range entries {
		name := entry.Name()
		content, err := files.ReadFile("assets/" + name)
		if err != nil {
			panic(err) //nolint:forbidigo // the files are in the binary
		}
		handlers[prefix+strings.TrimSuffix(name, ".gz")] = newAsset(name, content)
	}
	return handlers
}

const (
	ownPolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
	// The page with the secrets allows no inline script or style.
	formPolicy = ownPolicy + "style-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
	// RapiDoc uses inline styles.
	referencePolicy = ownPolicy + "style-src 'self' 'unsafe-inline'"
)

func page(name, policy, base string, service Describer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := service(r.Context())
		if err != nil {
			http.Error(w, "The service is not ready. Try again in a moment.", http.StatusServiceUnavailable)
			return
		}
		v := newView(s)
		v.Base = strings.TrimSuffix(base, "/")
		write(w, name, policy, v)
	})
}

func write(w http.ResponseWriter, name, policy string, v view) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, v); err != nil {
		http.Error(w, "The page cannot be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	_, _ = w.Write(out.Bytes()) // an error means that the browser has gone
}

// asset is a file that belongs to the pages.
type asset struct {
	content     []byte
	zipped      bool
	contentType string
	tag         string
}

func newAsset(name string, content []byte) asset {
	sum := sha256.Sum256(content)
	plain := strings.TrimSuffix(name, ".gz")
	types := map[string]string{
		".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
		".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
	}
	contentType, ok := types[path.Ext(plain)]
	if !ok {
		panic("web: what is " + name + "?") //nolint:forbidigo // only a change of this package can do it
	}
	return asset{content, plain != name, contentType, `"` + hex.EncodeToString(sum[:16]) + `"`}
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "no-cache") // cached, and revalidated by its tag
	content := io.ReadSeeker(bytes.NewReader(a.content))
	if a.zipped {
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
		} else {
			plain, err := unzip(a.content)
			if err != nil {
				http.Error(w, "The file cannot be read.", http.StatusInternalServerError)
				return
			}
			content = bytes.NewReader(plain)
		}
	}
	w.Header().Set("Etag", a.tag)
	http.ServeContent(w, r, "", time.Time{}, content)
}

func unzip(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return plain, nil
}
