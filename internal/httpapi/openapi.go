package httpapi

import (
	"errors"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/openapi"
)

var errNoService = errors.New("the service of this API has no active revision")

// openapi answers with the current description of the service. The required
// parameters depend on the values that the server itself provides.
func (a *API) openapi(w http.ResponseWriter, r *http.Request) error {
	if _, err := negotiate(w, r, typeJSON); err != nil {
		return err
	}
	service, ok := a.Service.Current()
	if !ok {
		return errNoService
	}
	request, err := service.RequestSignature(r.Context())
	if err != nil {
		return err
	}
	document, err := openapi.New(request, openapi.Options{
		Title: service.Name, Version: service.Version, Description: service.Description, ServerURL: a.url(r),
	})
	if err != nil {
		return err
	}
	text, err := document.JSON()
	if err != nil {
		return err
	}
	write(w, http.StatusOK, "application/json", text)
	return nil
}

// url returns the address of the API: Options.URL, or the address that the caller
// has used.
func (a *API) url(r *http.Request) string {
	if a.URL != "" {
		return a.URL
	}
	if r.TLS != nil {
		return "https://" + r.Host + a.Base
	}
	return "http://" + r.Host + a.Base
}
