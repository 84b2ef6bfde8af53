package openapi

import "go.yaml.in/yaml/v3"

// references maps the references of a description ("#/$defs/Name") to those of
// the document.
type references map[string]string

// rewrite replaces the references of a schema in place. Names of properties
// and values of the service (default, examples) are not references, even
// if they look like one.
func (r references) rewrite(schema *yaml.Node) {
	switch schema.Kind {
	case yaml.SequenceNode:
		for _, element := range schema.Content {
			r.rewrite(element)
		}
	case yaml.MappingNode:
		for key, value := range members(schema) {
			r.rewriteKeyword(key, value)
		}
	}
}

func (r references) rewriteKeyword(keyword string, value *yaml.Node) {
	switch keyword {
	case "$ref":
		r.replace(value)
	case "default", "example", "examples", "enum", "const":
	case "properties", "patternProperties", "$defs", "dependentSchemas":
		for _, schema := range members(value) {
			r.rewrite(schema)
		}
	case "discriminator":
		for _, target := range members(get(value, "mapping")) {
			r.replace(target)
		}
	default:
		r.rewrite(value)
	}
}

func (r references) replace(ref *yaml.Node) {
	if replaced, ok := r[ref.Value]; ok {
		ref.Value = replaced
	}
}
