// Package service turns a Go function into a managed service.
//
// The function takes a context and one struct, and returns a result and an
// error. [Main] does the rest:
//
//	type Input struct {
//		Data     Order          `json:"data" description:"what to order"`
//		Retries  int            `json:"retries" default:"3" minimum:"0" maximum:"10"`
//		APIToken secret.Value   `json:"api_token"`
//		Proxy    *secret.Value  `json:"proxy_password"`
//		Models   datapool.Pool  `json:"models"`
//	}
//
//	func run(ctx context.Context, in Input) (Receipt, error) { … }
//
//	func main() { service.Main(run) }
//
// # Parameters
//
// Each exported field is a parameter under its JSON name; fields of embedded
// structs count as the struct's own. The type says where the value comes from:
//
//	secret.Value    the environment: api_token from SECRET_API_TOKEN
//	datapool.Pool   a folder of files: $DATAPOOL_DIRECTORY/models
//	anything else   the request, as JSON
//
// A pointer to one of them may be missing, and is then nil. A secret cannot be
// a part of another parameter: it would travel in the ordinary request.
//
// # Input
//
// The JSON Schema of an input follows from its type, and callers are shown it.
// Decoding accepts what the schema accepts and nothing else: unknown and
// repeated fields, names in another case, null where nothing is optional and
// numbers with a fraction for an integer are errors. All of them are reported
// at once, by their paths and without their values.
//
//	Go type                          JSON
//	bool, string, numbers            the same; small integers with their bounds
//	struct                           object; a named one is a $defs entry
//	[]T, [n]T                        array (of exactly n)
//	map[K]T                          object; integer keys are checked
//	*T                               T or null, and may be left out
//	[]byte                           string, base64
//	time.Time                        string; without an offset it is UTC
//	time.Duration                    string, PT1M30S or 1m30s
//	json.Number                      number, every digit kept
//	any                              any JSON; see below for its numbers
//	json.RawMessage                  any JSON
//	encoding.TextUnmarshaler         string
//	json.Unmarshaler                 any JSON; the type decides
//
// In a value of type any, also in a map or a slice of it, a number is a float64, as in
// encoding/json, if that changes no digit. Any other one, such as 9007199254740993, is a
// json.Number, so that no digit is lost.
//
// A field may be left out if it is a pointer, has a default, or has omitempty or omitzero;
// so may a parameter that is a struct of such fields. Struct tags add limits and
// annotations:
//
//	description, examples            for readers; examples may be a JSON list
//	default                          the value of a missing field
//	minimum, maximum                 numbers; also exclusiveMinimum, exclusiveMaximum
//	minLength, maxLength, pattern    strings
//	format                           strings: date, date-time, duration, email, ipv4, ipv6, uri, uuid
//	enum                             strings and numbers: "a,b", or a JSON list
//	minItems, maxItems               slices
//	minProperties, maxProperties     maps
//
// In tags a string stands for itself, anything else is JSON. A blank field
// describes the struct it is in, and in the input of run the service:
//
//	_ struct{} `description:"Orders things."`
//
// A type that knows its schema better has a method JSONSchema() json.RawMessage. On any
// type it may set the limits of the list above, such as an enum on a named string. A type
// that also has UnmarshalJSON may return any schema, and promises to accept the values of
// that schema.
//
// # Result
//
// The return value of run is the result: strings, numbers and booleans become output.txt,
// anything else output.json, a nil pointer or struct{} nothing. It is encoded like
// encoding/json does, except that NaN and the infinities become null, nil slices and maps
// [] and {}, and durations text. A service writes further files with [Output].
//
// # Failure
//
// An error of run becomes a problem document (RFC 9457) in output.json. Return a [Problem]
// to choose its text. A panic in the goroutine of run does the same, and its stack goes to
// standard error. Secrets of the service are masked in both. A panic in another goroutine
// ends the program without a document, as always in Go.
//
// # Cancellation
//
// SIGTERM and an interrupt cancel the context of run; a second one ends the
// program. A run that then returns the context's error is reported as
// cancelled.
//
// # Exit codes
//
//	0        run has returned a result
//	1        run has failed, or its input was invalid
//	130, 143 run was cancelled by an interrupt, by SIGTERM
//
// A program that calls os.Exit itself keeps its code.
//
// # Describing
//
// With --describe the program writes the description of its signature as JSON
// to standard output instead of running, with --describe=FILE to a file.
//
// # Testing
//
// run is a function: call it, with [secret.New] and datapool.Open for its
// secrets and pools. To test decoding and results as well, call [Run].
//
// [secret.New]: https://pkg.go.dev/github.com/qhubctl/qhubctl/sdk/go/secret#New
package service
