// Package openapi writes the OpenAPI 3.1 description of a service's API.
//
// The paths and the envelope are the same for every service and stand in
// base.yaml; the request body and the result come from the service's
// signature. A body that the service accepts is valid by the document, and one
// that it refuses is not.
package openapi

import (
	_ "embed"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/qhubctl/qhubctl/internal/signature"
)

//go:embed base.yaml
var base []byte

// Options add members that the signature does not have. Zero values keep those
// of base.yaml.
type Options struct {
	Title       string
	Version     string
	Description string
	// ServerURL is where the API answers, TokenURL where a client gets its
	// access token.
	ServerURL string
	TokenURL  string
}

// A Document is an OpenAPI description.
type Document struct{ root *yaml.Node }

// New describes the service that has the signature s.
func New(s *signature.Signature, options Options) (*Document, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(base, &document); err != nil {
		return nil, fmt.Errorf("openapi: base.yaml: %w", err)
	}
	d := &Document{root: document.Content[0]}
	d.describe(options)
	names, err := d.addDefinitions(s)
	if err != nil {
		return nil, err
	}
	body, err := requestBody(s, names)
	if err != nil {
		return nil, err
	}
	request := at(d.root, "paths", "/", "post", "requestBody")
	set(at(request, "content", "application/json"), "schema", body)
	if get(body, "required") == nil {
		set(request, "required", boolean(false))
	}
	if err := d.addResult(s, names); err != nil {
		return nil, err
	}
	return d, nil
}

// YAML returns the document as YAML.
func (d *Document) YAML() ([]byte, error) {
	text, err := yaml.Marshal(d.root)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return text, nil
}

// JSON returns the document as indented JSON.
func (d *Document) JSON() ([]byte, error) { return toJSON(d.root) }

func (d *Document) describe(o Options) {
	info := get(d.root, "info")
	for _, member := range []struct {
		key, value string
		parent     *yaml.Node
	}{
		{"title", o.Title, info},
		{"version", o.Version, info},
		{"description", o.Description, info},
		{"url", o.ServerURL, get(d.root, "servers").Content[0]},
		{"tokenUrl", o.TokenURL, at(d.root, "components", "securitySchemes", "ApplicationCredentials", "flows", "clientCredentials")},
	} {
		if member.value != "" {
			set(member.parent, member.key, text(member.value))
		}
	}
}

// addDefinitions makes components of the signature's definitions and returns
// the reference that replaces each of them.
func (d *Document) addDefinitions(s *signature.Signature) (references, error) {
	definitions := mapping()
	if len(s.Defs) > 0 {
		var err error
		if definitions, err = fromJSON(s.Defs); err != nil {
			return nil, err
		}
	}
	components := at(d.root, "components", "schemas")
	refs := references{}
	for key := range members(definitions) {
		name := key
		for get(components, name) != nil || get(definitions, name) != nil && name != key {
			name += "_" // a model of the service has the name of one of the envelope
		}
		refs["#/$defs/"+key] = "#/components/schemas/" + name
	}
	for key, definition := range members(definitions) {
		refs.rewrite(definition)
		set(components, refs["#/$defs/"+key][len("#/components/schemas/"):], definition)
	}
	return refs, nil
}

func requestBody(s *signature.Signature, refs references) (*yaml.Node, error) {
	properties, required := mapping(), sequence()
	for _, p := range s.Parameters {
		if p.Kind == signature.Secret {
			continue
		}
		schema, err := parameterSchema(p)
		if err != nil {
			return nil, fmt.Errorf("openapi: the schema of %q: %w", p.Name, err)
		}
		refs.rewrite(schema)
		set(properties, p.Name, schema)
		if p.Required {
			required.Content = append(required.Content, text(p.Name))
		}
	}
	if secrets := s.Of(signature.Secret); len(secrets) > 0 {
		schema := secretsSchema(secrets)
		set(properties, signature.SecretsKey, schema)
		if get(schema, "required") != nil {
			required.Content = append(required.Content, text(signature.SecretsKey))
		}
	}
	set(properties, signature.TagsKey, mapping(
		"type", text("array"),
		"description", text("Tags of the execution, to find it by."),
		"items", mapping("type", text("string")),
	))
	body := mapping("type", text("object"), "properties", properties)
	if len(required.Content) > 0 {
		set(body, "required", required)
	}
	set(body, "additionalProperties", boolean(false))
	return body, nil
}

func parameterSchema(p signature.Parameter) (*yaml.Node, error) {
	if p.Kind != signature.DataPool {
		return fromJSON(p.Schema)
	}
	schema, err := fromJSON(signature.DataPoolSchema)
	if err != nil || p.Required {
		return schema, err
	}
	return mapping("anyOf", sequence(schema, mapping("type", text("null")))), nil
}

func secretsSchema(secrets []signature.Parameter) *yaml.Node {
	properties, required := mapping(), sequence()
	for _, p := range secrets {
		description := p.Description
		if description == "" {
			description = "The secret " + p.Name + ". It is given to the one execution, as " + p.Env + ", and destroyed when that ends."
		}
		set(properties, p.Name, mapping(
			"type", text("string"),
			"format", text("password"),
			"writeOnly", boolean(true),
			"description", text(description),
		))
		if p.Required {
			required.Content = append(required.Content, text(p.Name))
		}
	}
	schema := mapping("type", text("object"), "properties", properties)
	if len(required.Content) > 0 {
		set(schema, "required", required)
	}
	set(schema, "additionalProperties", boolean(false))
	return schema
}

// addResult gives ResultResponse the properties of the result of run.
func (d *Document) addResult(s *signature.Signature, refs references) error {
	if len(s.Result) == 0 {
		return nil
	}
	result, err := fromJSON(s.Result)
	if err != nil {
		return fmt.Errorf("openapi: the schema of the result: %w", err)
	}
	refs.rewrite(result)
	if ref := get(result, "$ref"); ref != nil {
		result = d.resolve(ref.Value)
	}
	envelope := at(d.root, "components", "schemas", "ResultResponse", "properties")
	for name, schema := range members(get(result, "properties")) {
		if get(envelope, name) == nil {
			set(envelope, name, schema)
		}
	}
	return nil
}

func (d *Document) resolve(ref string) *yaml.Node {
	const components = "#/components/schemas/"
	if len(ref) <= len(components) {
		return nil
	}
	return at(d.root, "components", "schemas", ref[len(components):])
}
