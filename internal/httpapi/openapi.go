package httpapi

import (
	"errors"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/openapi"
)

var errNoService = errors.New("the service that this API is for is not there")

// openapi answers with the description of the service as it is now: what a
// request must bring changes with what the server itself has.
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

// url is where the API answers: where the caller has found it, unless we know
// better.
func (a *API) url(r *http.Request) string {
	if a.URL != "" {
		return a.URL
	}
	if r.TLS != nil {
		return "https://" + r.Host + a.Base
	}
	return "http://" + r.Host + a.Base
}
