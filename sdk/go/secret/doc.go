// Package secret holds a credential that a program may look at once and can
// not print by accident.
//
// A service declares the secrets it needs as fields of its input; the runtime
// fills them in from the environment:
//
//	type Input struct {
//		APIToken secret.Value  `json:"api_token"` // from SECRET_API_TOKEN
//		Proxy    *secret.Value `json:"proxy"`     // may be missing: nil
//	}
//
//	token, err := in.APIToken.Unwrap()
//
// # Once
//
// [Value.Unwrap] gives the plain text to its first caller and [ErrLocked] to
// everyone after, in whatever goroutine. A copy of a Value is the same secret:
// unwrapping one locks all. After Unwrap the Value no longer holds the text,
// in no form; what remains is the string that the caller has.
//
// # Never printed
//
// Whatever a Value is handed to, the text does not come out: each verb of
// package fmt and log/slog writes [redacted], encoding/json, encoding/xml and
// all that goes by encoding.TextMarshaler do too, encoding/gob gets an error.
// Printers that walk structs by reflection, exported fields or not, find no
// plain text, as the Value does not hold any: it holds the text combined with
// a random pad that reflection cannot reach. That is a guard against accidents,
// not against a debugger.
//
// Templates call methods, and their text may come from a caller. Unwrap called
// by package reflect returns [ErrReflection] and leaves the secret unchanged.
//
// The string that Unwrap returns is an ordinary string. Use it where it is
// needed, and keep it in no field and no log.
//
// # Where secrets come from
//
// [EnvName] is the variable that carries the secret of a parameter. [FromEnv]
// reads it and removes it from the environment, so that no child process
// inherits it. [Check] says which texts can be one: UTF-8 of at most 64 KiB. A secret is never read from JSON or text: decoding into a Value
// is an error, because it would mean that the secret travelled in a request's
// ordinary body.
package secret
