// Package secret holds a credential that a program can read once and cannot print by
// accident.
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
// [Value.Unwrap] gives the plain text to its first caller, and [ErrLocked] to every later
// caller in any goroutine. A copy of a Value is the same secret: unwrapping one locks all.
// After Unwrap the Value no longer holds the text in any form; only the string of the
// caller remains.
//
// # Never printed
//
// No printer shows the text. Each verb of package fmt and log/slog writes [redacted], and
// so do encoding/json, encoding/xml and all encoders that use encoding.TextMarshaler;
// encoding/gob gets an error. Printers that walk structs by reflection, exported fields or
// not, find no plain text, because the Value holds the text combined with a random pad
// that reflection cannot reach. That protects against accidents, not against a debugger.
//
// Templates call methods, and their text may come from a caller. Unwrap called
// by package reflect returns [ErrReflection] and leaves the secret unchanged.
//
// The string that Unwrap returns is an ordinary string. Use it at the place that needs it,
// and keep it out of fields and logs.
//
// # Where secrets come from
//
// [EnvName] is the variable that carries the secret of a parameter. [FromEnv] reads it and
// removes it from the environment, so that no child process inherits it. [Check] decides
// which texts are valid: UTF-8 of at most 64 KiB. A secret is never read from JSON or
// text: decoding into a Value is an error, because the secret would have travelled in the
// ordinary body of a request.
package secret
