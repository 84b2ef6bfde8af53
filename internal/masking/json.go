package masking

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// JSON masks a JSON document. A number that holds a secret becomes a string;
// numbers says how many did, for the log.
func JSON(masker *redact.Masker, doc []byte) (masked []byte, numbers int, err error) {
	masked, err = masker.JSON(doc)
	if err != nil || len(masked) == len(doc) && (len(doc) == 0 || &masked[0] == &doc[0]) {
		return masked, 0, err
	}
	c := comparison{before: newDecoder(doc), after: newDecoder(masked)}
	_ = c.value() // both are JSON; an object that is masked as a whole is skipped
	return masked, c.numbers, nil
}

func newDecoder(doc []byte) *jsontext.Decoder {
	// Of a buffer it makes no copy.
	return jsontext.NewDecoder(bytes.NewBuffer(doc), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// comparison walks through a document before and after masking.
type comparison struct {
	before, after *jsontext.Decoder
	numbers       int
}

func (c *comparison) value() error {
	before, after := c.before.PeekKind(), c.after.PeekKind()
	if before == after && (before == '{' || before == '[') {
		return c.nested(before)
	}
	if before == '0' && after == '"' {
		c.numbers++
	}
	if err := c.before.SkipValue(); err != nil {
		return err
	}
	return c.after.SkipValue()
}

func (c *comparison) nested(kind jsontext.Kind) error {
	if err := c.token(); err != nil {
		return err
	}
	for c.before.PeekKind() != kind+2 { // '}' and ']' are two behind '{' and '['
		if kind == '{' {
			if err := c.token(); err != nil { // a name
				return err
			}
		}
		if err := c.value(); err != nil {
			return err
		}
	}
	return c.token()
}

func (c *comparison) token() error {
	if _, err := c.before.ReadToken(); err != nil {
		return err
	}
	_, err := c.after.ReadToken()
	return err
}
