// Package signature holds the language-neutral description of a service's run function:
// its parameters, their kinds, and the JSON Schemas of its inputs and its result.
//
// An SDK writes the description as one JSON document (docs/signature.md); [Parse] reads
// and checks it. Everything that depends on
// the parameters of a service derives from the [Signature] it returns: which
// environment variable carries a secret ([EnvName]), which request bodies are
// accepted ([Signature.Compile], [Validator.Request]), the OpenAPI document,
// forms and templates.
//
// Validation reports every error of a body at once, each with a JSON path. No
// error ever repeats a value of the body.
package signature
