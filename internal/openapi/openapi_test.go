package openapi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"go.yaml.in/yaml/v3"

	"github.com/qhubctl/qhubctl/internal/openapi"
	"github.com/qhubctl/qhubctl/internal/signature"
)

const described = `{"schemaVersion":1,"entrypoint":"src.program:run","parameters":[
	{"name":"data","kind":"input","required":true,"schema":{"$ref":"#/$defs/Problem","default":{"$ref":"#/$defs/Problem"}}},
	{"name":"n","kind":"input","required":false,"schema":{"type":"integer","default":3}},
	{"name":"api_token","kind":"secret","required":true},
	{"name":"other","kind":"secret","required":false,"description":"The other one."},
	{"name":"models","kind":"datapool","required":true},
	{"name":"extra","kind":"datapool","required":false}],
	"result":{"$ref":"#/$defs/Out"},
	"$defs":{
		"Problem":{"type":"object","properties":{"$ref":{"$ref":"#/$defs/Leaf"},"yes":{"type":"string","default":"no"}},"required":["yes"]},
		"Leaf":{"oneOf":[{"$ref":"#/$defs/Problem"},{"type":"null"}],"discriminator":{"propertyName":"k","mapping":{"a":"#/$defs/Problem"}}},
		"Out":{"type":"object","properties":{"total":{"type":"number"},"leaf":{"$ref":"#/$defs/Leaf"}}}}}`

func document(t *testing.T, description string, options openapi.Options) *openapi.Document {
	t.Helper()
	s, err := signature.Parse([]byte(description))
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi.New(s, options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentIsValidOpenAPI31(t *testing.T) {
	t.Parallel()
	for name, description := range map[string]string{
		// libopenapi takes any "$ref" for a reference, in a default too.
		"all kinds": strings.Replace(described, `,"default":{"$ref":"#/$defs/Problem"}`, "", 1),
		"nothing":   `{"schemaVersion":1,"parameters":[]}`,
	} {
		text, err := document(t, description, openapi.Options{Title: "T", ServerURL: "http://127.0.0.1:8081"}).YAML()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := libopenapi.NewDocument(text)
		if err != nil {
			t.Fatal(err)
		}
		v, errs := validator.NewValidator(parsed)
		if len(errs) > 0 {
			t.Fatalf("NewValidator(%s) = %v, want no errors", name, errs)
		}
		if ok, problems := v.ValidateDocument(); !ok {
			for _, p := range problems {
				t.Errorf("%s: %s: %s, want a valid document", name, p.Message, p.Reason)
			}
		}
	}
}

func TestYAMLAndJSONAreTheSameDocument(t *testing.T) {
	t.Parallel()
	d := document(t, described, openapi.Options{Title: "yes", Version: "1.10", Description: "null"})
	asYAML, err := d.YAML()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON map[string]any
	if err := yaml.Unmarshal(asYAML, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(fromJSON)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(want) {
		t.Errorf("YAML says\n%s\nwant as JSON\n%s", again, want)
	}
	info := fromJSON["info"].(map[string]any)
	if info["title"] != "yes" || info["version"] != "1.10" || info["description"] != "null" {
		t.Errorf("info = %v, want the strings yes, 1.10 and null", info)
	}
}

func TestRequestSchemaOfSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ parameters, want string }{
		"the guide's example": {
			`{"name":"api_token","kind":"secret","required":true}`,
			`{"type":"object","properties":{"api_token":{"type":"string","format":"password","writeOnly":true}},"required":["api_token"],"additionalProperties":false}`,
		},
		"optional": {
			`{"name":"api_token","kind":"secret","required":false}`,
			`{"type":"object","properties":{"api_token":{"type":"string","format":"password","writeOnly":true}},"additionalProperties":false}`,
		},
	} {
		schema := requestSchema(t, document(t, `{"schemaVersion":1,"parameters":[`+c.parameters+`]}`, openapi.Options{}))
		secrets := schema["properties"].(map[string]any)["$secrets"].(map[string]any)
		delete(secrets["properties"].(map[string]any)["api_token"].(map[string]any), "description")
		got, err := json.Marshal(secrets)
		if err != nil {
			t.Fatal(err)
		}
		var want any
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		wanted, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(wanted) {
			t.Errorf("%s:\n got %s\nwant %s", name, got, wanted)
		}
		_, required := schema["required"]
		if required != (name == "the guide's example") {
			t.Errorf("%s: required = %v, want it only for the guide's example", name, schema["required"])
		}
	}
}

func TestDefinitionsBecomeComponents(t *testing.T) {
	t.Parallel()
	d := document(t, described, openapi.Options{})
	text, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components struct {
			Schemas map[string]map[string]any
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	data := requestSchema(t, d)["properties"].(map[string]any)["data"].(map[string]any)
	if data["$ref"] != "#/components/schemas/Problem_" {
		t.Errorf("a model with a name of the envelope is %v, want the reference Problem_", data)
	}
	if kept := data["default"].(map[string]any)["$ref"]; kept != "#/$defs/Problem" {
		t.Errorf("a default with the member $ref becomes %v, want it unchanged", kept)
	}
	property := doc.Components.Schemas["Problem_"]["properties"].(map[string]any)["$ref"].(map[string]any)
	if property["$ref"] != "#/components/schemas/Leaf" {
		t.Errorf("a property called $ref is %v, want a reference to Leaf", property)
	}
	if doc.Components.Schemas["Problem"]["properties"].(map[string]any)["detail"] == nil {
		t.Error("the envelope's Problem was overwritten")
	}
	if result := doc.Components.Schemas["ResultResponse"]["properties"].(map[string]any); result["total"] == nil || result["_links"] == nil {
		t.Errorf("ResultResponse has %v, want total and _links", result)
	}
	if unresolved := strings.Count(string(text), `"#/$defs/`); unresolved != 1 { // the default above
		t.Errorf("%d references into $defs are left, want 1", unresolved)
	}
}

func requestSchema(t *testing.T, d *openapi.Document) map[string]any {
	t.Helper()
	text, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"paths", "/", "post", "requestBody", "content", "application/json", "schema"} {
		doc = doc[key].(map[string]any)
	}
	return doc
}
