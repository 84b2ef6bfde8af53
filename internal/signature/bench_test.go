package signature_test

import (
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
)

// BenchmarkRequest measures a body that a schema decides, and the same body with a
// check that was made of a model.
func BenchmarkRequest(b *testing.B) {
	const checks = `{"type":"object","properties":{"points":{"type":"array","items":{"type":"object","properties":{"x":{"lax":"integer","maximum":10},"y":{"lax":"number"}},"required":["x"]}},"mode":{"enum":["fast","slow"]}},"required":["points"]}`
	body := []byte(`{"data":{"points":[` + strings.Repeat(`{"x":1,"y":2.5},`, 500) + `{"x":1}],"mode":"fast"}}`)
	for name, s := range map[string]*signature.Signature{
		"by=schema": parse(b, `{"name":"data","kind":"input","required":true,"check":"schema","schema":{"$ref":"#/$defs/Data"}}`, defs),
		"by=check":  parse(b, `{"name":"data","kind":"input","required":true,"check":`+checks+`,"schema":{"$ref":"#/$defs/Data"}}`, defs),
		"by=model":  parse(b, `{"name":"data","kind":"input","required":true,"schema":{"$ref":"#/$defs/Data"}}`, defs),
	} {
		v, err := s.Compile()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Request(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
