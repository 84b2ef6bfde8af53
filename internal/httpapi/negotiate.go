package httpapi

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/elnormous/contenttype"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// The media types that the API speaks.
var (
	typeJSON   = contenttype.NewMediaType("application/json")
	typeHTML   = contenttype.NewMediaType("text/html")
	typePlain  = contenttype.NewMediaType("text/plain")
	typeEvents = contenttype.NewMediaType("text/event-stream")
	typeBinary = contenttype.NewMediaType("application/octet-stream")
)

// negotiate picks the offer that the client prefers. It picks the first one if the
// client has no preference, or if its Accept header cannot be read.
func negotiate(w http.ResponseWriter, r *http.Request, offers ...contenttype.MediaType) (contenttype.MediaType, error) {
	if len(offers) > 1 {
		w.Header().Add("Vary", "Accept")
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return offers[0], nil
	}
	picked, _, err := contenttype.GetAcceptableMediaTypeFromHeader(accept, offers)
	if err == nil {
		return picked, nil
	}
	if !errors.Is(err, contenttype.ErrNoAcceptableTypeFound) {
		return offers[0], nil
	}
	for _, offer := range offers {
		if offer.Matches(typeJSON) && acceptsSuffix(accept) {
			return offer, nil
		}
	}
	names := make([]string, len(offers))
	for i, offer := range offers {
		names[i] = offer.MIME()
	}
	return picked, problem(http.StatusNotAcceptable, "This address offers "+strings.Join(names, ", ")+"; the Accept header allows none of them.")
}

// acceptsSuffix reports whether a client accepts JSON under another name, such as
// application/hal+json, application/*+json or text/json. Such a client gets
// application/json.
func acceptsSuffix(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(part, " ", "")), ";")
		_, quality, given := strings.Cut(";"+parameters, ";q=")
		quality, _, _ = strings.Cut(quality, ";")
		if q, err := strconv.ParseFloat(quality, 64); given && (err != nil || q == 0) {
			continue
		}
		if strings.HasSuffix(name, "+json") || name == "text/json" {
			return true
		}
	}
	return false
}

// checkJSON refuses a body whose Content-Type is not JSON. A form on another site
// cannot send that type.
func checkJSON(r *http.Request) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("The body has a Content-Encoding; send it without one.")
	}
	header := r.Header.Get("Content-Type")
	if header == "" {
		return nil
	}
	given, err := contenttype.ParseMediaType(header)
	if err != nil {
		return unsupported("The Content-Type cannot be read; send application/json.")
	}
	isJSON := given.Subtype == typeJSON.Subtype || strings.HasSuffix(given.Subtype, "+json")
	if given.Type != typeJSON.Type && given.MIME() != "text/json" || !isJSON {
		return unsupported("The body must be JSON: send Content-Type: application/json.")
	}
	switch strings.ToLower(given.Parameters["charset"]) {
	case "", "utf-8", "utf8", "utf-8-sig", "us-ascii", "ascii": // ASCII is a subset of UTF-8
		return nil
	default:
		return unsupported("The body must be UTF-8.")
	}
}

func unsupported(detail string) *execution.Problem {
	return problem(http.StatusUnsupportedMediaType, detail)
}
