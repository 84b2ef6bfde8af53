package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"
	"unicode/utf8"
	"unsafe"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

const plain = "s3cr3t/Value+Ümläut"

// assertHidden fails if text holds plain in any form that a printer may give it.
func assertHidden(t *testing.T, how, plain, text string) {
	t.Helper()
	decimal := strings.Trim(fmt.Sprint([]byte(plain)), "[]")
	spaced, commaed := fmt.Sprintf("% x", plain), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(plain)), "[]byte{"), "}")
	quoted := strings.Trim(fmt.Sprintf("%+q", plain), `"`)
	for _, form := range []string{
		plain, quoted, decimal, spaced, commaed, hex.EncodeToString([]byte(plain)),
		strings.ToUpper(hex.EncodeToString([]byte(plain))), base64.StdEncoding.EncodeToString([]byte(plain)),
	} {
		if strings.Contains(text, form) {
			t.Errorf("%s prints the secret, want the mask", how)
		}
	}
}

type wrapper struct {
	Exported  secret.Value
	hidden    secret.Value
	Pointer   *secret.Value
	Slice     []secret.Value
	Map       map[string]secret.Value
	Interface any
}

func wrap(v secret.Value) []any {
	w := wrapper{v, v, &v, []secret.Value{v}, map[string]secret.Value{"k": v}, v}
	pointer := &v
	return []any{v, &v, &pointer, []any{v}, [1]secret.Value{v}, map[secret.Value]int{v: 1}, w, &w, struct{ w wrapper }{w}}
}

func TestFormat(t *testing.T) {
	v := secret.New(plain)
	for format, want := range map[string]string{
		"%v": "[redacted]", "%+v": "[redacted]", "%s": "[redacted]", "%x": "[redacted]", "%d": "[redacted]",
		"%q": "[redacted]", "%#v": "secret.Value([redacted])", "%-30.1s|": "[redacted]|", "%T": "secret.Value",
	} {
		if got := fmt.Sprintf(format, v); got != want {
			t.Errorf("%s gives %q, want %q", format, got, want)
		}
	}
	if got := fmt.Sprint([]secret.Value{v}); got != "[[redacted]]" {
		t.Errorf("in a slice it prints %q, want the mask", got)
	}
	if got := fmt.Sprintf("%#v", &v); got != "secret.Value([redacted])" {
		t.Errorf("behind a pointer it prints %q, want the mask", got)
	}
}

func TestEveryVerbHides(t *testing.T) {
	for _, flags := range []string{"", "+", "-", "#", " ", "0", "+#", "# ", "-30", "030.3"} {
		for verb := rune('A'); verb <= 'z'; verb++ {
			v := secret.New(plain)
			for i, wrapped := range wrap(v) {
				format := "%" + flags + string(verb)
				assertHidden(t, fmt.Sprintf("%s of wrapper %d", format, i), plain, fmt.Sprintf(format, wrapped))
			}
			if got, err := v.Unwrap(); err != nil || got != plain {
				t.Fatal("printing locked or changed the secret")
			}
		}
	}
}

// TestReflectionDoesNotUnwrap: a template calls methods, and its text may come from a
// caller, so it must not take the secret out.
func TestReflectionDoesNotUnwrap(t *testing.T) {
	v := secret.New(plain)
	pointer := &v
	var unwrapper interface{ Unwrap() (string, error) } = v
	data := map[string]any{
		"V": v, "P": &v, "PP": &pointer, "W": wrapper{Exported: v, Pointer: &v, Slice: []secret.Value{v}, Interface: v},
		"M": v.Unwrap, "I": unwrapper, "N": map[string]secret.Value{"k": v},
	}
	for _, text := range []string{
		"{{.V.Unwrap}}", "{{.P.Unwrap}}", "{{.PP.Unwrap}}", "{{.W.Exported.Unwrap}}", "{{.W.Pointer.Unwrap}}", "{{.W.Interface.Unwrap}}",
		"{{(index .W.Slice 0).Unwrap}}", "{{call .M}}", "{{.I.Unwrap}}", "{{.N.k.Unwrap}}", "{{with .V}}{{.Unwrap}}{{end}}",
		"{{printf `%s` .V.Unwrap}}", "{{.V}} {{.W}}", "{{printf `%x %d %q %#v %+v` .V .P .W .N .I}}", "{{.V.String | js}}", "{{html .W}}",
	} {
		var out strings.Builder
		err := template.Must(template.New("").Parse(text)).Execute(&out, data)
		assertHidden(t, text, plain, out.String()+fmt.Sprint(err))
		if strings.Contains(text, "nwrap") && err == nil {
			t.Errorf("%s gives %q, want an error", text, out.String())
		}
	}
	method := reflect.ValueOf(v).MethodByName("Unwrap")
	if got := method.Call(nil); got[0].String() != "" || !errors.Is(got[1].Interface().(error), secret.ErrReflection) {
		t.Errorf("reflect.Value.Call = %v, want ErrReflection", got)
	}
	if v.IsLocked() {
		t.Error("a call that was refused has locked the secret")
	}
	if got, err := unwrapper.Unwrap(); err != nil || got != plain {
		t.Errorf("a call by an interface = %d bytes, %v, want the text", len(got), err)
	}
}

// TestCodeUnwraps: calls without reflection still work.
func TestCodeUnwraps(t *testing.T) {
	for how, unwrap := range map[string]func(secret.Value) (string, error){
		"method value":      func(v secret.Value) (string, error) { f := v.Unwrap; return f() },
		"method expression": func(v secret.Value) (string, error) { f := secret.Value.Unwrap; return f(v) },
		"of the pointer":    func(v secret.Value) (string, error) { f := (*secret.Value).Unwrap; return f(&v) },
		"embedded":          func(v secret.Value) (string, error) { return struct{ secret.Value }{v}.Unwrap() },
		"generic":           unwrapGeneric[secret.Value],
		"deferred": func(v secret.Value) (got string, err error) {
			func() { defer func() { got, err = v.Unwrap() }() }()
			return got, err
		},
		"after a panic": func(v secret.Value) (got string, err error) {
			defer func() { _ = recover(); got, err = v.Unwrap() }()
			panic("x")
		},
		"goroutine": func(v secret.Value) (string, error) {
			done := make(chan struct{})
			var got string
			var err error
			go func() { defer close(done); got, err = v.Unwrap() }()
			<-done
			return got, err
		},
	} {
		if got, err := unwrap(secret.New(plain)); err != nil || got != plain {
			t.Errorf("%s = %d bytes, %v, want the text", how, len(got), err)
		}
	}
}

func unwrapGeneric[T interface{ Unwrap() (string, error) }](v T) (string, error) { return v.Unwrap() }

func TestErrorsAndPanics(t *testing.T) {
	v := secret.New(plain)
	mistaken := "failed: %w" // a secret is no error; kept from go vet
	for how, err := range map[string]error{
		"%w": fmt.Errorf(mistaken, v),
		"%v": fmt.Errorf("failed: %v", v),
	} {
		assertHidden(t, "an error of "+how, plain, err.Error())
	}
	defer func() { assertHidden(t, "a panic", plain, fmt.Sprint(recover())) }()
	panic(v)
}

func TestEncoders(t *testing.T) {
	v := secret.New(plain)
	for i, wrapped := range wrap(v) {
		text, err := json.Marshal(wrapped)
		assertHidden(t, fmt.Sprintf("encoding/json of wrapper %d", i), plain, string(text)+fmt.Sprint(err))
		text, err = xml.Marshal(wrapped)
		assertHidden(t, fmt.Sprintf("encoding/xml of wrapper %d", i), plain, string(text)+fmt.Sprint(err))
		var buffer bytes.Buffer
		err = gob.NewEncoder(&buffer).Encode(wrapped)
		assertHidden(t, fmt.Sprintf("encoding/gob of wrapper %d", i), plain, buffer.String()+fmt.Sprint(err))
		buffer.Reset()
		slog.New(slog.NewJSONHandler(&buffer, nil)).Info("m", "wrapped", wrapped)
		slog.New(slog.NewTextHandler(&buffer, nil)).Info("m", "wrapped", wrapped)
		assertHidden(t, fmt.Sprintf("log/slog of wrapper %d", i), plain, buffer.String())
	}
	if text, err := json.Marshal(struct{ V secret.Value }{v}); err != nil || string(text) != `{"V":"[redacted]"}` {
		t.Errorf("json.Marshal() = %s, %v, want the mask", text, err)
	}
	if err := gob.NewEncoder(&bytes.Buffer{}).Encode(v); err == nil {
		t.Error("encoding/gob encodes a secret")
	}
}

func TestDecodersRefuse(t *testing.T) {
	var v secret.Value
	if err := json.Unmarshal([]byte(`"`+plain+`"`), &v); err == nil || strings.Contains(err.Error(), plain) {
		t.Error("encoding/json decodes into a secret, or repeats it")
	}
	if err := json.Unmarshal([]byte(`{"`+plain+`": 1}`), &map[secret.Value]int{}); err == nil {
		t.Error("encoding/json decodes a key into a secret")
	}
	if err := xml.Unmarshal([]byte(`<a>`+plain+`</a>`), &v); err == nil {
		t.Error("encoding/xml decodes into a secret")
	}
	if err := v.GobDecode([]byte(plain)); err == nil {
		t.Error("encoding/gob decodes into a secret")
	}
	if !v.IsLocked() {
		t.Error("a decoder filled a secret")
	}
}

// walk visits everything that reflection can reach, also unexported fields and the memory
// beyond the length of slices, like the most thorough printers.
func walk(v reflect.Value, depth int, visit func([]byte)) {
	if depth > 12 || !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			walk(v.Elem(), depth+1, visit)
		}
	case reflect.Struct:
		if !v.CanAddr() {
			addressable := reflect.New(v.Type()).Elem()
			addressable.Set(v)
			v = addressable
		}
		for i := range v.NumField() {
			field := v.Field(i)
			walk(reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem(), depth+1, visit)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			visit(v.Slice(0, v.Cap()).Bytes())
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), depth+1, visit)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			walk(entry.Key(), depth+1, visit)
			walk(entry.Value(), depth+1, visit)
		}
	case reflect.String:
		visit([]byte(v.String()))
	case reflect.UnsafePointer: // atomic.Pointer holds one
		if p := v.UnsafePointer(); p != nil {
			// A printer cannot know the type; the first words suffice to reach a slice
			// there.
			walk(reflect.NewAt(reflect.TypeFor[[]byte](), p).Elem(), depth+1, visit)
		}
	}
}

func TestReflectionFindsNoPlainText(t *testing.T) {
	v := secret.New(plain)
	visited := 0
	for _, wrapped := range wrap(v) {
		walk(reflect.ValueOf(wrapped), 0, func(found []byte) {
			visited++
			if bytes.Contains(found, []byte(plain)) {
				t.Error("reflection reaches the plain text")
			}
		})
	}
	if visited == 0 {
		t.Fatal("the walker found nothing at all, so it proves nothing")
	}
}

func TestUnwrapWipes(t *testing.T) {
	v := secret.New(plain)
	var held [][]byte
	walk(reflect.ValueOf(v), 0, func(found []byte) { held = append(held, found) })
	if len(held) == 0 {
		t.Fatal("found nothing that could be wiped")
	}
	if _, err := v.Unwrap(); err != nil {
		t.Fatal(err)
	}
	for _, memory := range held {
		if !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Error("memory of the secret is not wiped")
		}
	}
	walk(reflect.ValueOf(v), 0, func([]byte) { t.Error("an unwrapped secret still holds something") })
}

func FuzzValueNeverPrints(f *testing.F) {
	f.Add("tok-123456", "%v", uint8(0))
	f.Add(plain, "%#v %+v %x %X %q %p %d", uint8(6))
	f.Add("%!s(BAD)", "%[1]*.[1]*f", uint8(7))
	f.Fuzz(func(t *testing.T, plain, format string, which uint8) {
		render := func(v secret.Value) string {
			wrappers := wrap(v)
			wrapped := wrappers[int(which)%len(wrappers)]
			text := fmt.Sprintf(format, wrapped)
			encoded, err := json.Marshal(wrapped)
			return text + string(encoded) + fmt.Sprint(err)
		}
		// The secret counts as shown only if the output has a character of it that the
		// same call does not print for another one, since addresses differ.
		other := render(secret.New("")) + "0123456789abcdefABCDEFx"
		if !strings.ContainsFunc(plain, func(r rune) bool { return r != utf8.RuneError && !strings.ContainsRune(other, r) }) {
			return
		}
		if strings.Contains(render(secret.New(plain)), plain) {
			t.Error("a formatted secret shows its text")
		}
	})
}

func TestErrLockedSaysWhy(t *testing.T) {
	var v secret.Value
	_, err := v.Unwrap()
	if !errors.Is(err, secret.ErrLocked) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("Unwrap(locked) = %v, want ErrLocked", err)
	}
}
