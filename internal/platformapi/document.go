package platformapi

import (
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// about is the beginning of the description.
const about = `The API of a platform: services and their versions, the applications that call them, and what these have run.

Callers show a token. A call is about the caller's personal account, or about the organization that the header X-OrganizationId names. Things of other accounts are not found.

Errors are problem documents (RFC 9457) that never repeat a value of a request. Each service has its own API and description, below /gateway/TENANT/SERVICE/VERSION.`

// OpenAPI is the description of all routes, as JSON. It is made once: all routes must
// have been registered.
func (a *API) OpenAPI() ([]byte, error) { return a.document() }

// OpenAPIBelow is the description of the routes below a base path, relative to it: that
// is how clients read it which have the base path in their address of the server.
func (a *API) OpenAPIBelow(base string) ([]byte, error) {
	text, err := a.document()
	if err != nil {
		return nil, err
	}
	var document map[string]json.RawMessage
	paths, below := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(document["paths"], &paths); err != nil {
		return nil, err
	}
	for address, item := range paths {
		if relative, ok := strings.CutPrefix(address, base+"/"); ok {
			below["/"+relative] = item
		}
	}
	for name, value := range map[string]any{"paths": below, "servers": []map[string]string{{"url": base}}} {
		if document[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(document)
}

// describe completes what huma knows of the routes.
func (a *API) describe() ([]byte, error) {
	document := a.huma.OpenAPI()
	for _, route := range a.routes {
		o := operationOf(document.Paths[route.Path], route.Method)
		if !slices.Contains(route.Errors, http.StatusUnprocessableEntity) {
			delete(o.Responses, strconv.Itoa(http.StatusUnprocessableEntity)) // newProblem makes it 400
		}
		a.describeBodies(o, route)
		if o.RequestBody == nil {
			delete(o.Responses, strconv.Itoa(http.StatusRequestEntityTooLarge))
			delete(o.Responses, strconv.Itoa(http.StatusUnsupportedMediaType))
		}
		for name, response := range o.Responses {
			if status, err := strconv.Atoi(name); err == nil && response.Description == "" {
				response.Description = http.StatusText(status)
			}
		}
	}
	for address, item := range document.Paths {
		// OpenAPI has no name for the rest of an address.
		if plain := strings.ReplaceAll(address, "...}", "}"); plain != address {
			document.Paths[plain] = item
			delete(document.Paths, address)
		}
	}
	return document.MarshalJSON()
}

// describeBodies describes what a stream takes and gives.
func (a *API) describeBodies(o *huma.Operation, route Route) {
	if len(route.Takes) > 0 {
		o.RequestBody = &huma.RequestBody{Required: !route.MayTakeNothing, Content: a.content(route.Takes)}
	}
	if len(route.Gives) > 0 {
		status := route.Status
		if status == 0 {
			status = http.StatusOK
		}
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: a.content(route.Gives)}
	}
	for status, bodies := range route.Refusals {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: a.content(bodies)}
	}
	if route.MayBeEmpty {
		o.Responses[strconv.Itoa(http.StatusNoContent)] = &huma.Response{Description: http.StatusText(http.StatusNoContent)}
	}
}

// MultipartFile is the content of a form with one file.
func MultipartFile() []Content {
	return []Content{{"multipart/form-data", reflect.TypeFor[fileForm]()}}
}

type fileForm struct {
	File string `json:"file" format:"binary" doc:"The file."`
}

func (a *API) content(all []Content) map[string]*huma.MediaType {
	described := map[string]*huma.MediaType{}
	for _, one := range all {
		schema := &huma.Schema{Type: huma.TypeString}
		if one.Of != nil {
			schema = a.huma.OpenAPI().Components.Schemas.Schema(one.Of, true, one.Of.Name())
		} else if !strings.HasPrefix(one.Type, "text/") {
			schema = &huma.Schema{}
		}
		described[one.Type] = &huma.MediaType{Schema: schema}
	}
	return described
}

func operationOf(item *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodDelete:
		return item.Delete
	case http.MethodHead:
		return item.Head
	default:
		return item.Patch
	}
}

// namer names the schema of each type: after the type, and after its package, too, where
// another package has a type of that name.
func namer() func(reflect.Type, string) string {
	names, types := map[reflect.Type]string{}, map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return huma.DefaultSchemaNamer(t, hint)
		}
		if name, ok := names[t]; ok {
			return name
		}
		name := huma.DefaultSchemaNamer(t, hint)
		if _, taken := types[name]; taken {
			name = strings.TrimSuffix(path.Base(t.PkgPath()), "api") + name
			name = strings.ToUpper(name[:1]) + name[1:]
		}
		names[t], types[name] = name, t
		return name
	}
}
