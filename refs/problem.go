package main

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/internal/reference"
)

// fixed are the words for errors of this program.
var fixed = map[error]string{
	errOutside: "the file is outside the folder for references", errLarge: "the file is larger than 1 MiB",
	errNoDocument: "the secret is not a document in YAML or JSON, so it has no keys", errNoKey: "the secret has no such key",
	errNoText: "the value at the key is not a text; put quotes around it in the document", fs.ErrNotExist: "there is no such file, or it is not a regular file",
	fs.ErrPermission: "the file may not be read",
}

// answers find the code of a refusal in the text of an error: a number, or a name.
var answers = []struct {
	store string
	code  *regexp.Regexp
}{
	{"Vault", regexp.MustCompile(`Error making API request\.[^$]*\bCode: ([45][0-9]{2})\.`)},
	{"Azure", regexp.MustCompile(`\bRESPONSE ([45][0-9]{2})\b`)},
	{"Google", regexp.MustCompile(`rpc error: code = (NotFound|PermissionDenied|Unauthenticated|InvalidArgument|Unavailable|FailedPrecondition|ResourceExhausted|Internal|Unknown)\b`)},
	{"AWS", regexp.MustCompile(`\b(ResourceNotFoundException|AccessDeniedException|UnrecognizedClientException|InvalidRequestException|InvalidParameterException|ExpiredTokenException|DecryptionFailure|InvalidSignatureException|ThrottlingException|InternalServiceError)\b`)},
}

// words are the beginnings of errors that have no type, with our words for them.
var words = []struct{ text, problem string }{
	{"no value found for key", "the secret has no such key"},
	{"does not exist in", "the secret has no such key"},
	{"no secret found for path", "the store has no such secret"},
	{"unexpected type of value for key", "the secret has no such key"},
	{"as yaml", "the secret is not a document in YAML or JSON, so it has no keys"},
	{"unmarshal", "the secret is not a document in YAML or JSON, so it has no keys"},
	{"sops metadata not found", "the file is not encrypted by sops"},
	{"Error getting data key", "sops has no key that decrypts the file: set SOPS_AGE_KEY_FILE, or what its other keys need"},
	{"data integrity", "the file was changed after sops encrypted it"},
	{"connection refused", "the store does not answer at its address"},
	{"no such host", "the address of the store is not known"},
	{"x509: ", "the store does not prove that it is at its address: check its certificate"},
	{"tls: ", "the store does not speak TLS as expected"},
	{"Missing Region", "no region is set: set AWS_REGION, or the parameter region"},
	{"get credentials", "there are no credentials for the store, or it refuses them"},
	{"no EC2 IMDS role found", "there are no credentials for the store"},
	{"could not find default credentials", "there are no credentials for the store: set GOOGLE_APPLICATION_CREDENTIALS"},
	{"CredentialUnavailable", "there are no credentials for the store"},
	{"DefaultAzureCredential", "there are no credentials for the store"},
	{"missing client token", "there is no token for the store: set VAULT_TOKEN"},
}

// problem says why there is no value. Texts of errors may hold a part of it: those of
// parsers do. So it has only words of this program, and codes.
func problem(err error) string {
	if syntax, ok := errors.AsType[*reference.SyntaxError](err); ok {
		return syntax.Error()
	}
	text := err.Error()
	if strings.Contains(text, "path escapes from parent") {
		return fixed[errOutside]
	}
	for known, words := range fixed {
		if errors.Is(err, known) {
			return words
		}
	}
	// vals makes texts of errors, so their types are lost.
	for _, answer := range answers {
		if code := answer.code.FindStringSubmatch(text); code != nil {
			return answeredWith(answer.store, code[1])
		}
	}
	for _, known := range words {
		if strings.Contains(text, known.text) {
			return known.problem
		}
	}
	if os.IsTimeout(err) {
		return "the store does not answer in time"
	}
	return "the store's client failed, and its message may hold a part of a secret; try the client of the store on this machine"
}

func answeredWith(store, code string) string {
	text := store + " answered " + code
	number, err := strconv.Atoi(code)
	if err == nil {
		text += " (" + http.StatusText(number) + ")"
	}
	if number == http.StatusForbidden {
		text += ": the token of the server may not read the secret, or is not valid"
	}
	return text
}
