// Package shape says how a Go type looks in JSON, once, for everyone who has
// to agree on it: the JSON Schema that callers see, the decoder that fills a
// value of the type, and the encoder of results.
//
// A [Builder] turns a reflect.Type into a [Shape]. [Shape.Schema] writes it as
// JSON Schema, [Shape.Decode] reads JSON by it. As both work from one Shape,
// what is decoded is what the schema accepts. The rules are those of
// encoding/json where it has one (names, embedded structs, omitempty), but
// decoding is strict: unknown and repeated keys, null where nothing is
// optional, other spellings of a name and values outside the limits of the
// field's tags are errors. All errors of a text are reported at once, each with
// its path, and none repeats a value.
//
// A Shape is finite for recursive types: named structs appear in it once, and
// in the schema by reference.
package shape
