package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// schemas are random ones, of all keywords that a stream treats on its own and
// some that it does not.
func schemas(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		s := map[string]any{}
		keywords := []string{"type", "types", "lax", "enum", "const", "range", "length", "true"}
		if depth > 0 {
			nested := []string{"items", "prefixItems", "properties", "closed", "additional", "pattern", "anyOf", "oneOf", "allOf", "not", "if"}
			keywords = append(keywords, nested...)
			keywords = append(keywords, nested...)
			keywords = append(keywords, "minItems", "maxItems", "unique", "contains", "required", "requiredAny", "size", "dependent", "ref", "unevaluated")
		}
		sub := func(label string) map[string]any { return schemas(depth-1).Draw(t, label) }
		for _, keyword := range rapid.SliceOfN(rapid.SampledFrom(keywords), 0, 3).Draw(t, "keywords") {
			drawKeyword(t, s, keyword, sub)
		}
		return s
	})
}

func drawKeyword(t *rapid.T, s map[string]any, keyword string, sub func(string) map[string]any) {
	name := rapid.SampledFrom([]string{"a", "b", "c d"})
	number := func() int { return rapid.IntRange(0, 3).Draw(t, "number") }
	several := func() []any { return []any{sub("first"), sub("second"), map[string]any{"type": "null"}} }
	switch keyword {
	case "type":
		s["type"] = rapid.SampledFrom([]string{"object", "array", "object", "array", "string", "integer", "number", "boolean", "null"}).Draw(t, "type")
	case "types":
		s["type"] = []string{rapid.SampledFrom([]string{"object", "array"}).Draw(t, "type"), "null", "integer"}
	case "lax":
		s["lax"] = rapid.SampledFrom([]string{"integer", "number", "date"}).Draw(t, "lax")
	case "enum":
		s["enum"] = []any{1, "a", nil, []any{1}}[:1+number()]
	case "const":
		s["const"] = rapid.SampledFrom([]any{1, "a", []any{}}).Draw(t, "const")
	case "range":
		s["minimum"], s["exclusiveMaximum"] = number(), 3
	case "length":
		s["minLength"], s["maxLength"] = number(), 2
	case "items":
		s["items"] = sub("items")
	case "prefixItems":
		s["prefixItems"] = []any{sub("prefix")}
	case "properties", "closed":
		s["properties"] = map[string]any{"a": sub("a"), "b": sub("b")}
		if keyword == "closed" {
			s["additionalProperties"] = false
		}
	case "additional":
		s["additionalProperties"] = sub("additional")
	case "pattern":
		s["patternProperties"] = map[string]any{"^[ab]": sub("pattern")}
	case "anyOf", "oneOf", "allOf":
		s[keyword] = several()[number()%2:]
	case "not":
		s["not"] = sub("not")
	case "if":
		s["if"], s["then"], s["else"] = sub("if"), sub("then"), sub("else")
	case "minItems", "maxItems":
		s[keyword] = number()
	case "unique":
		s["uniqueItems"] = true
	case "contains":
		s["contains"] = sub("contains")
	case "required":
		s["required"] = []string{name.Draw(t, "required")}
	case "requiredAny":
		s["requiredAny"] = []any{[]string{name.Draw(t, "any"), "b"}}
	case "size":
		s["minProperties"], s["maxProperties"] = number(), 2
	case "dependent":
		s["dependentRequired"] = map[string]any{"a": []string{"b"}}
		s["dependentSchemas"] = map[string]any{"b": sub("dependent")}
	case "ref":
		s["$ref"] = "#/$defs/Other"
	case "unevaluated":
		s["unevaluatedProperties"] = false
	}
}

func values(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kind := rapid.IntRange(0, 9).Draw(t, "kind")
		switch {
		case kind < 4 && depth > 0:
			return rapid.SliceOfN(values(depth-1), 0, 4).Draw(t, "list")
		case kind < 8 && depth > 0:
			return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c d", "é"}), values(depth-1), 0, 4).Draw(t, "object")
		default:
			return rapid.SampledFrom([]any{nil, true, 0, 1, 2.5, -3, "", "a", "1", "äöü\"\\\n", json.Number("1e3"), json.Number("1.0")}).Draw(t, "scalar")
		}
	})
}

// TestStreamAgreesWithWhole: a stream is refused for the same reasons as the whole value.
func TestStreamAgreesWithWhole(t *testing.T) {
	t.Parallel()
	refused, streamed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		schema, _ := json.Marshal(schemas(3).Draw(t, "schema"))
		other, _ := json.Marshal(map[string]any{"Other": schemas(1).Draw(t, "other")})
		check := rapid.SampledFrom([]string{`"schema"`, string(schema)}).Draw(t, "check")
		s := &Signature{Defs: other, Parameters: []Parameter{{Name: "x", Kind: Input, Schema: schema, Check: json.RawMessage(check)}}}
		if check != `"schema"` && strings.Contains(check, "$ref") {
			return // checks refer to $checks
		}
		v, err := s.Compile()
		if err != nil {
			return // two keywords that exclude each other
		}
		text, _ := json.Marshal(values(4).Draw(t, "value"))
		if rapid.Bool().Draw(t, "spaced") {
			text = []byte(strings.NewReplacer(`,`, " ,\n", `:`, " : ", `[`, "[ ", `{`, "{\t").Replace(string(text)))
		}
		in := v.inputs["x"]
		whole := in.validate(text, path{}.key("x"))
		got, err := in.stream(text, path{}.key("x"), rapid.SampledFrom([]int{0, 10, 40}).Draw(t, "large"))
		if err != nil {
			if !errors.As(err, new(*TooLargeError)) {
				t.Fatal(err)
			}
			return
		}
		streamed++
		if len(whole) > 0 {
			refused++
		}
		if !slices.Equal(got, whole) {
			t.Fatalf("stream(%s)\n against %s, $defs %s\n got %v\nwant %v", text, schema, other, got, whole)
		}
	})
	if refused < streamed/20 || streamed < 20 {
		t.Errorf("%d of %d values are refused, want at least a twentieth, or the test proves little", refused, streamed)
	}
}

// TestLargeBodies: a large body is refused for the same reasons as a small one.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	padding := `"pad":"` + strings.Repeat("x", largeBody) + `"`
	s, err := Parse([]byte(`{"schemaVersion":1,"parameters":[
		{"name":"pad","kind":"input","check":"schema","schema":{"type":"string"}},
		{"name":"rows","kind":"input","check":"schema","schema":{"anyOf":[{"type":"array","items":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false,"required":["a"]}},{"type":"null"}]}},
		{"name":"set","kind":"input","check":"schema","schema":{"type":"array","uniqueItems":true}},
		{"name":"free","kind":"input"},
		{"name":"token","kind":"secret"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Repeat(`{"a":1},`, 2000)
	for member, want := range map[string]string{
		`"rows":[` + rows + `{"a":2}]`:              "",
		`"rows":[` + rows + `{"a":"x","b":1},{}]`:   "rows[2000].a: must be an integer\nrows[2000].b: there is no such field\nrows[2001].a: is required",
		`"rows":{"x":"` + rows2() + `"}`:            "rows: must be an array or null",
		`"rows":[` + rows + `{"a":2,"\u0061":3}]`:   "an object of the body has the same key twice",
		`"free":[` + rows + `1e999999]`:             "",
		`"set":[` + rows + `1e999999]`:              "set: holds a number that is out of range",
		`"set":[` + rows + `1]`:                     "set: must not hold an element twice",
		`"set":[` + numbers(800000) + `]`:           "set is too large for its schema, which has to see all of it at once, in more than 32 MiB of memory; send less",
		`"free":[` + rows + `1}`:                    "the body is not JSON: the error is at byte 278163",
		`"$secrets":{"token":"abcdefgh"},"pad2":[]`: "pad2: there is no such parameter; there are: pad, rows, set, free",
	} {
		body := []byte(`{` + padding + `,` + member + `}`)
		kept := string(body)
		request, err := v.Request(body)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			request.Clear()
		}
		if got != want {
			t.Errorf("Request(%.60s…) = %q, want %q", member, got, want)
		}
		if string(body) != kept {
			t.Errorf("Request(%.60s…) has changed the body, want it unchanged", member)
		}
	}
}

// TestSecretsOfManyParts: secrets of very many lines are refused, because the masker searches for each line.
func TestSecretsOfManyParts(t *testing.T) {
	t.Parallel()
	s, err := Parse([]byte(`{"schemaVersion":1,"parameters":[{"name":"a","kind":"secret"},{"name":"b","kind":"secret"},{"name":"c","kind":"secret"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	lines := func(n int) string { return `"` + strings.Repeat(`abcd\n`, n) + `"` }
	for secrets, want := range map[string]string{
		`{"a":` + lines(1024) + `,"b":` + lines(1024) + `}`:            "",
		`{"a":` + lines(1025) + `}`:                                    "$secrets.a: " + plaintext.ErrParts.Error(),
		`{"a":` + lines(1024) + `,"b":` + lines(1024) + `,"c":"abcd"}`: "$secrets: " + plaintext.ErrTotalParts.Error(),
	} {
		got := ""
		if request, err := v.Request([]byte(`{"$secrets":` + secrets + `}`)); err != nil {
			got = err.Error()
		} else {
			request.Clear()
		}
		if got != want {
			t.Errorf("Request(%.30s…) = %q, want %q", secrets, got, want)
		}
	}
}

func rows2() string { return strings.Repeat("y", 2*largeValue) }

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", i)
	}
	return strings.TrimSuffix(b.String(), ",")
}
