package hub

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"go.yaml.in/yaml/v3"

	"github.com/qhubctl/qhubctl/internal/registry"
)

// maxOpenAPI bounds a description that an owner has uploaded.
const maxOpenAPI = 256 << 10

// uploadOpenAPI takes a description for the current version of a service, in the place of
// the one that is made of the code. An empty file brings that back.
func (h *Hub) uploadOpenAPI(ctx context.Context, in *ByID, w http.ResponseWriter, r *http.Request) error {
	v, err := h.ownCurrent(ctx, in.ID)
	if err != nil {
		return err
	}
	part, err := filePart(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(part, maxOpenAPI+1))
	switch {
	case err != nil:
		return problem(http.StatusBadRequest, "The upload is not complete.")
	case len(text) > maxOpenAPI:
		return problem(http.StatusRequestEntityTooLarge, "A description may have 256 KiB.")
	}
	document, err := asOpenAPI(text)
	if err != nil {
		return err
	}
	if _, err := h.store.ChangeVersion(ctx, v.ID, func(v *registry.Version) error { v.OpenAPI = document; return nil }); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// asOpenAPI is a description in JSON or YAML as JSON; nil of an empty text.
func asOpenAPI(text []byte) (json.RawMessage, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var document map[string]any
	err := yaml.Unmarshal(text, &document) // JSON is YAML
	if version, _ := document["openapi"].(string); err != nil || version == "" {
		return nil, problem(http.StatusBadRequest, "The file is no description of an API: a document in JSON or YAML with the member openapi.")
	}
	shown, err := json.Marshal(document)
	if err != nil {
		return nil, problem(http.StatusBadRequest, "The description has members that JSON cannot have.")
	}
	return shown, nil
}
