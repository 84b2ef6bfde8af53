// Package shape defines the JSON form of a Go type once, for all users of it: the JSON
// Schema that callers see, the decoder that fills a value of the type, and the encoder
// of results.
//
// A [Builder] turns a reflect.Type into a [Shape]. [Shape.Schema] writes it as JSON
// Schema, [Shape.Decode] reads JSON by it. Both work from one Shape, so decoding accepts
// the values that the schema accepts. The rules are those of encoding/json if it has one
// (names, embedded structs, omitempty), but decoding is strict. These are errors: unknown
// and repeated keys, null where nothing is optional, other spellings of a name, and
// values outside the limits of the field's tags. All errors of a text are reported at
// once, each with its path, and none repeats a value.
//
// A Shape is finite for recursive types: named structs appear in it once, and
// in the schema by reference.
package shape
