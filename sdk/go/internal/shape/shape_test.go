package shape_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
)

type Color string

func (Color) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"description": "a colour", "enum": ["red", "blue"]}`)
}

type Even int

func (e *Even) UnmarshalJSON(text []byte) error {
	var n int
	if err := json.Unmarshal(text, &n); err != nil || n%2 != 0 {
		return errors.New("odd: " + string(text))
	}
	*e = Even(n)
	return nil
}

func (Even) JSONSchema() json.RawMessage {
	return json.RawMessage(`{"type": "integer", "multipleOf": 2}`)
}

type Point struct {
	X int     `json:"x"`
	Y float64 `json:"y" default:"0.5"`
}

type Base struct {
	ID   string `json:"id" pattern:"^[a-z]+$" minLength:"2" maxLength:"4"`
	Note string `json:"note,omitempty"`
}

type Limits struct {
	Count  int            `json:"count" minimum:"1" maximum:"10"`
	Open   float64        `json:"open" exclusiveMinimum:"0" exclusiveMaximum:"1"`
	Mode   string         `json:"mode" enum:"a,b" default:"a"`
	Level  *int           `json:"level" enum:"1,2"`
	Tags   []string       `json:"tags,omitempty" minItems:"1" maxItems:"2"`
	Scores map[string]int `json:"scores,omitzero" minProperties:"1" maxProperties:"2"`
	Day    string         `json:"day,omitempty" format:"date"`
}

type Node struct {
	Value    int     `json:"value"`
	Children []Node  `json:"children,omitempty"`
	Next     *Node   `json:"next"`
	Tree     Tree    `json:"tree,omitempty"`
	Pair     [2]int8 `json:"pair,omitzero"`
}

type Tree []Tree

type Everything struct {
	Base
	*Point
	Limits  Limits             `json:"limits,omitzero"`
	Node    Node               `json:"node,omitzero"`
	Colors  []Color            `json:"colors,omitempty"`
	When    time.Time          `json:"when,omitzero"`
	Takes   time.Duration      `json:"takes,omitzero"`
	Small   int8               `json:"small,omitempty"`
	Byte    uint8              `json:"byte,omitempty"`
	Natural uint               `json:"natural,omitempty"`
	Float   float32            `json:"float,omitempty"`
	Exact   json.Number        `json:"exact,omitempty"`
	Any     any                `json:"any,omitempty"`
	Raw     json.RawMessage    `json:"raw,omitempty"`
	Data    []byte             `json:"data,omitempty"`
	ByInt   map[int]Point      `json:"by_int,omitempty"`
	ByUint  map[uint8]bool     `json:"by_uint,omitempty"`
	ByAddr  map[netip.Addr]any `json:"by_addr,omitempty"`
	Addr    netip.Addr         `json:"addr,omitzero"`
	Big     *big.Int           `json:"big"`
	Even    Even               `json:"even,omitempty"`
	Hidden  string             `json:"-"`
	private string
}

// built is a type with the decoder under test and the validator that judges
// bodies for the platform.
type built struct {
	shape     *shape.Shape
	typ       reflect.Type
	document  []byte
	validator *signature.Validator
}

func build(t testing.TB, typ reflect.Type) built {
	t.Helper()
	var b shape.Builder
	s, err := b.Type(typ, "v")
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(shape.Object{}.
		With("schemaVersion", 1).
		With("$defs", shape.Defs(&b, &shape.Builder{})).
		With("parameters", []any{shape.Object{}.With("name", "v").With("kind", "input").With("required", true).With("schema", s.Schema()).With("check", "schema")}))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := signature.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	validator, err := parsed.Compile()
	if err != nil {
		t.Fatalf("Compile() = %v, want nil\n%s", err, document)
	}
	return built{s, typ, document, validator}
}

func (b built) decode(text string) (any, shape.Errors) {
	v := reflect.New(b.typ).Elem()
	errs := b.shape.Decode([]byte(text), v, "v")
	return v.Interface(), errs
}

// tolerated are reasons for which decoding refuses values that the schema accepts: JSON
// Schema cannot express them, or they are limits of the Go type.
var tolerated = []string{
	"is there twice", "must be base64", "must be a duration", "must be between", "is a number out of range", "holds a number out of range",
	"is not valid UTF-8", "is not JSON", "is not a valid Addr", "is not a valid Int", "is nested deeper", "within its range", "means a key",
	"must be a date and time", "must be of the format",
}

// agree fails if the decoder and the validator disagree on a text.
func (b built) agree(t *testing.T, text string) {
	t.Helper()
	_, errs := b.decode(text)
	invalid := b.validator.Input("v", []byte(text))
	if len(errs) == 0 && len(invalid) > 0 {
		t.Errorf("%s decodes as %v, and the schema refuses it: %v, want both to agree", text, b.typ, invalid)
	}
	if len(errs) == 0 || len(invalid) > 0 {
		return
	}
	for _, e := range errs {
		reason := false
		for _, allowed := range tolerated {
			reason = reason || strings.Contains(e.Message, allowed)
		}
		if !reason {
			t.Errorf("the schema accepts %s for %v, and decoding says %v, want both to agree", text, b.typ, e)
		}
	}
}

var agreeing = []reflect.Type{
	reflect.TypeFor[Everything](), reflect.TypeFor[Limits](), reflect.TypeFor[Node](), reflect.TypeFor[Tree](), reflect.TypeFor[Color](),
	reflect.TypeFor[[]*int](), reflect.TypeFor[map[int8]float32](), reflect.TypeFor[uint16](), reflect.TypeFor[*Point](), reflect.TypeFor[time.Time](),
	reflect.TypeFor[any](), reflect.TypeFor[json.Number](), reflect.TypeFor[[3]bool](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[struct {
		At    string      `json:"at" format:"date-time"`
		Mail  string      `json:"mail,omitempty" format:"email"`
		Link  string      `json:"link,omitempty" format:"uri"`
		ID    string      `json:"id,omitempty" format:"uuid"`
		Four  string      `json:"four,omitempty" format:"ipv4"`
		Six   string      `json:"six,omitempty" format:"ipv6"`
		Long  string      `json:"long,omitempty" format:"duration"`
		Money json.Number `json:"money,omitempty" minimum:"0.1" maximum:"1e3" enum:"0.1,1,1000"`
	}](),
}

var texts = []string{
	`null`, `1`, `1.0`, `1e2`, `-0`, `0.1e1`, `1.5`, `12e-1`, `300`, `65536`, `1e400`, `1e99999`, `"x"`, `"red"`, `"green"`, `true`, `[]`, `{}`, `[[],[[]]]`,
	`{"x":1}`, `{"x":1,"y":null}`, `{"x":1.0,"y":2}`, `{"X":1}`, `{"x":1,"x":2}`, `{"id":"abc","x":1}`, `{"id":"ABC","x":1}`, `{"id":"abcde","x":1}`,
	`{"id":"abc","x":1,"limits":{"count":10,"open":0.5}}`, `{"id":"abc","x":1,"limits":{"count":11,"open":1}}`,
	`{"count":10.000000000000000000001,"open":0.5}`, `{"count":1,"open":1e-400}`, `{"count":1,"open":0.99999999999999999999}`,
	`{"count":1,"open":0.5,"level":1.0,"tags":[],"scores":{}}`, `{"count":1,"open":0.5,"level":3,"mode":"c","day":"2023-02-29"}`,
	`{"value":1,"children":[{"value":2,"next":{"value":3}}],"tree":[[]],"pair":[1,2]}`, `{"value":1,"children":[{"value":"2"}],"pair":[1,200]}`,
	`{"value":1,"pair":[1]}`, `{"id":"abc","x":1,"by_int":{"1":{"x":1},"01":{"x":1}}}`, `{"id":"abc","x":1,"by_uint":{"300":true,"-1":true}}`,
	`{"id":"abc","x":1,"data":"AAE=","addr":"::1","by_addr":{"::1":1},"big":123456789012345678901234567890,"even":4,"raw":{"a":[1]},"any":[1,"a"]}`,
	`{"id":"abc","x":1,"even":3}`, `{"id":"abc","x":1,"when":"2024-01-02 03:04","takes":"1m30s","small":-129,"byte":256,"natural":-1,"float":1e39}`,
	`{"id":"abc","x":1,"when":"2024-01-02T03:04:05.5+01:00","takes":"PT1M30.5S","exact":1.10}`, `[1,null,2]`, `{"1":2,"-0":1}`, `"2024-01-02T3:04:05Z"`,
	`"2024-01-02"`, `"2024-02-30T00:00:00Z"`, `"2024-01-02t03:04:05z"`, `"2024-01-02T24:00:00Z"`, `"2024-01-02T03:04:05,25Z"`, `[true,false,true]`, `"AA=="`, `"AB=="`,
	`{"at":"2024-01-02T03:04:05Z","mail":"a.b@example.org","link":"http://e/x?y#z","id":"123e4567-e89b-12d3-a456-426614174000","four":"1.2.3.4","six":"::1","long":"P1DT2H"}`,
	`{"at":"2024-01-02T03:04:05Z","mail":"a..b@example.org","link":"//e","id":"123e4567","four":"1.2.3","six":"fe80::1%eth0","money":1.00}`, `{"at":"x","money":2}`, `{"at":"2024-01-02","mail":"a@b"}`,
	`{"id":"abc","x":1,"colors":["red","blue"]}`, `{"id":"abc","x":1,"colors":["red","green"]}`, `{"id":"\u00e9\ud83d\ude00","x":1}`, ` { "id" : "abc" , "x" : 1 } `,
}

func TestDecoderAndSchemaAgree(t *testing.T) {
	for _, typ := range agreeing {
		b := build(t, typ)
		for _, text := range texts {
			b.agree(t, text)
		}
	}
}

func FuzzDecoderAndSchemaAgree(f *testing.F) {
	for i, text := range texts {
		f.Add(uint8(i), text)
	}
	types := make([]built, len(agreeing))
	for i, typ := range agreeing {
		types[i] = build(f, typ)
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		// The validator reads one value and leaves the rest; the decoder
		// refuses that.
		if json.Valid([]byte(text)) {
			types[int(which)%len(types)].agree(t, text)
		} else if _, errs := types[int(which)%len(types)].decode(text); len(errs) == 0 {
			t.Errorf("decode(%q) = no errors, want one: it is not JSON", text)
		}
	})
}

func TestDecode(t *testing.T) {
	value, errs := build(t, reflect.TypeFor[Everything]()).decode(`{
		"id": "abc", "x": 1.0, "limits": {"count": 3, "open": 0.5, "level": 2},
		"node": {"value": 1, "children": [{"value": 2}], "pair": [-1, 127]}, "colors": ["red"],
		"when": "2024-01-02 03:04:05", "takes": "P1DT1H0.5S", "natural": 18446744073709551615, "exact": 1.10,
		"any": {"a": [1, null]}, "raw": [1, 2], "data": "AAE=", "by_int": {"-1": {"x": 7}}, "addr": "10.0.0.1", "big": null, "even": 4
	}`)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	level := 2
	want := Everything{
		Base: Base{ID: "abc"}, Point: &Point{X: 1, Y: 0.5}, Limits: Limits{Count: 3, Open: 0.5, Mode: "a", Level: &level},
		Node: Node{Value: 1, Children: []Node{{Value: 2}}, Pair: [2]int8{-1, 127}}, Colors: []Color{"red"},
		When: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), Takes: 25*time.Hour + 500*time.Millisecond, Natural: 1<<64 - 1, Exact: "1.10",
		Any: map[string]any{"a": []any{1.0, nil}}, Raw: json.RawMessage("[1, 2]"), Data: []byte{0, 1}, ByInt: map[int]Point{-1: {7, 0.5}},
		Addr: netip.MustParseAddr("10.0.0.1"), Even: 4,
	}
	if !reflect.DeepEqual(value, want) {
		t.Errorf("got  %+v\nwant %+v", value, want)
	}
}

func TestAllErrorsAtOnceWithoutValues(t *testing.T) {
	_, errs := build(t, reflect.TypeFor[Everything]()).decode(`{
		"id": "zebra-stripes", "x": "zebra", "limits": {"count": 77, "open": "zebra", "zebra key": 1},
		"node": {"value": 1.5, "children": [{"value": 1}, {"value": "zebra", "value": 1}], "pair": [1, 2, 3]},
		"colors": ["zebra"], "when": "zebra", "addr": "zebra", "even": "zebra", "data": "zebra!", "by_int": {"zebra": {}},
		"any": {"a": 1, "a": 2}, "small": 1000
	}`)
	var got []string
	for _, e := range errs {
		got = append(got, e.Error())
		if strings.Contains(e.Message, "zebra") {
			t.Errorf("the error is %v, want no value in it", e)
		}
	}
	want := []string{
		`v.id: must have at most 4 characters`, `v.x: expected integer, got string`, `v.limits.count: must be at most 10`,
		`v.limits.open: expected number, got string`, `v.limits["zebra key"]: there is no such field`,
		`v.node.value: expected integer, got a fraction`, `v.node.children[1].value: expected integer, got string`,
		`v.node.children[1].value: is there twice`, `v.node.pair: must have 2 elements`, `v.colors[0]: must be one of "red", "blue"`,
		`v.when: must be a date and time, such as 2026-01-31T08:30:00Z`, `v.addr: is not a valid Addr`, `v.even: is not a valid Even`,
		`v.data: must be base64`, `v.by_int.zebra.x: is required`, `v.by_int.zebra: the key must be an integer within its range`,
		`v.any.a: is there twice`, `v.small: must be between -128 and 127`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTextsThatAreNotRead(t *testing.T) {
	b := build(t, reflect.TypeFor[any]())
	for text, want := range map[string]string{
		"":                   "v: is not JSON: it ends too early",
		`{"a":`:              "v: is not JSON: it ends too early",
		"{\n \"a\": secret}": "v: is not JSON: the error is in line 2, at byte 7",
		"1 2":                "v: is not JSON: the error is in line 1, at byte 3",
		"\"\xff\"":           "v: is not valid UTF-8",
		strings.Repeat("[", 201) + strings.Repeat("]", 201): "v: is nested deeper than 200 levels",
		strings.Repeat("[", 100000):                         "v: is nested deeper than 200 levels",
		"1" + strings.Repeat("0", 5000):                     "v: is a number out of range",
	} {
		if _, errs := b.decode(text); len(errs) != 1 || errs[0].Error() != want {
			t.Errorf("%.20q gives %v, want %s", text, errs, want)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, errs := build(t, reflect.TypeFor[[]int]()).decode("[" + strings.Repeat(`"x",`, 5000) + `"x"]`)
	if len(errs) != 100 || errs[99].Message != "there are more errors" {
		t.Errorf("decode(5001 errors) = %d errors, the last %v, want 100 that end with a note", len(errs), errs[len(errs)-1])
	}
}

func TestSchema(t *testing.T) {
	type Inner struct {
		_    struct{}          `description:"an inner thing"`
		Name string            `json:"name" description:"its name" examples:"Ada"`
		More *[]int            `json:"more"`
		Dict map[string]any    `json:"dict"`
		Each map[string]*Point `json:"each"`
		Tiny uint8             `json:"tiny" maximum:"9"`
	}
	b := build(t, reflect.TypeFor[Inner]())
	const want = `{"Inner":{"description":"an inner thing","type":"object","properties":{` +
		`"name":{"type":"string","description":"its name","examples":["Ada"]},` +
		`"more":{"anyOf":[{"type":"array","items":{"type":"integer"}},{"type":"null"}],"default":null},` +
		`"dict":{"type":"object","additionalProperties":true},` +
		`"each":{"type":"object","additionalProperties":{"anyOf":[{"$ref":"#/$defs/Point"},{"type":"null"}]}},` +
		`"tiny":{"type":"integer","minimum":0,"maximum":9}},"required":["name","dict","each","tiny"],"additionalProperties":false},` +
		`"Point":{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"number","default":0.5}},"required":["x"],"additionalProperties":false}}`
	var document struct {
		Defs json.RawMessage `json:"$defs"`
	}
	if err := json.Unmarshal(b.document, &document); err != nil {
		t.Fatal(err)
	}
	if string(document.Defs) != want {
		t.Errorf("got\n%s\nwant\n%s", document.Defs, want)
	}
}

type Box[T any] struct {
	Content T `json:"content"`
}

func TestNamesInDefs(t *testing.T) {
	outer := reflect.TypeFor[Point]()
	type Point struct { // another type of the same name
		Z int `json:"z"`
	}
	var in, out shape.Builder
	out.Output = true
	for builder, types := range map[*shape.Builder][]reflect.Type{
		&in:  {reflect.TypeFor[Limits](), outer, reflect.TypeFor[Box[map[string]Tree]]()},
		&out: {reflect.TypeFor[Box[Point]](), reflect.TypeFor[Limits](), reflect.TypeFor[Even](), outer},
	} {
		for _, typ := range types {
			if _, err := builder.Type(typ, "v"); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	for _, m := range shape.Defs(&in, &out) {
		if seen[m.Name] {
			t.Errorf("two definitions are called %s, want different names", m.Name)
		}
		seen[m.Name] = true
		if strings.Trim(m.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			t.Errorf("a definition is called %q, want only valid characters", m.Name)
		}
	}
	for _, name := range []string{"Limits", "Point", "PointResult", "shape_test.Point", "Box_Tree", "Box_Point", "Even"} {
		if !seen[name] {
			t.Errorf("the definitions are %v, want %s among them", seen, name)
		}
		delete(seen, name)
	}
	if delete(seen, "Tree"); len(seen) > 0 {
		t.Errorf("there are more definitions: %v, want none", seen)
	}
}

type one struct{ N int }

type two struct{ N int }

func TestTypesThatAreRefused(t *testing.T) {
	type self *self
	for _, c := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[struct{ C chan int }](), "v.C: the type chan int cannot be JSON"},
		{reflect.TypeFor[struct{ F func() }](), "v.F: the type func() cannot be JSON"},
		{reflect.TypeFor[struct{ E error }](), "v.E: the type error cannot be JSON"},
		{reflect.TypeFor[[]struct{ K map[float64]int }](), "v[].K: the keys of a map must be strings or integers"},
		{reflect.TypeFor[self](), "is a pointer to itself"},
		{reflect.TypeFor[struct {
			one
			two
		}](), "two fields are called \"N\""},
		{reflect.TypeFor[struct{ *one }](), "embed it without the pointer"},
		{reflect.TypeFor[struct {
			A []int `minimum:"1"`
		}](), "v.A: minimum does not limit a value of this type"},
		{reflect.TypeFor[struct {
			A string `format:"hostname"`
		}](), "the format hostname is not one that this package can check"},
		{reflect.TypeFor[struct {
			A string `pattern:"("`
		}](), "v.A: pattern: error parsing"},
		{reflect.TypeFor[struct {
			A int `maximum:"1" default:"2"`
		}](), "v.A: default: value: must be at most 1"},
		{reflect.TypeFor[struct {
			A int `default:"x"`
		}](), "v.A: default: the value in the tag is not JSON"},
		{reflect.TypeFor[struct {
			A int `enum:"[1"`
		}](), "v.A: enum is not a list of values"},
		{reflect.TypeFor[struct {
			A int `maximum:"x"`
		}](), "v.A: maximum is not a number"},
		{reflect.TypeFor[struct {
			A []int `minItems:"-1"`
		}](), "v.A: minItems is not a count"},
		{reflect.TypeFor[struct {
			A int `json:"a,string"`
		}](), `v.a: the json option "string" is not supported`},
	} {
		if _, err := new(shape.Builder).Type(c.typ, "v"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.typ, err, c.want)
		}
	}
}

func TestDefaultsOfAMissingField(t *testing.T) {
	type Options struct {
		Retries int    `json:"retries" default:"3"`
		Name    string `json:"name" default:"[x"`
		Point   Point  `json:"point,omitzero"`
	}
	value, errs := build(t, reflect.TypeFor[struct {
		Options Options  `json:"options,omitzero"`
		List    []Point  `json:"list" default:"[{\"x\": 1}]"`
		None    *string  `json:"none" default:"null"`
		Text    *string  `json:"text" default:"t"`
		When    []Color  `json:"when,omitempty"`
		Pointer *Options `json:"pointer"`
	}]()).decode(`{}`)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	text, err := json.Marshal(value)
	const want = `{"options":{"retries":3,"name":"[x"},"list":[{"x":1,"y":0.5}],"none":null,"text":"t","pointer":null}`
	if err != nil || !bytes.Equal(text, []byte(want)) {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
}
