package leak_test

import (
	"slices"

	"github.com/qhubctl/qhubctl/internal/leak"
)

// An SDK is the library of a service.
type sdk string

const (
	ours     sdk = "Python"
	upstream sdk = "upstream SDK"
	golang   sdk = "Go"
)

var sdks = []sdk{ours, upstream, golang}

// A trace is the text that a way leaves in the place of the secret.
type trace string

const (
	inLog     trace = "masked in the log"
	inResult  trace = "masked in the result"
	inFile    trace = "masked in the file"
	withheld  trace = "file withheld, named in the log"
	inName    trace = "masked in the name of the file"
	inProblem trace = "masked in the problem document"
	inPage    trace = "masked in the description, or not to be read"
	notThere  trace = "not there"
	ifThere   trace = "masked in the log, or not to be read"
	gone      trace = "gone with the execution"
	nowhere   trace = "nowhere"
)

// A mode is an execution: one execution goes all ways of a mode, each with separate
// secrets.
type mode string

const (
	returns   mode = "returns"
	raises    mode = "raises"
	fails     mode = "fails"
	exits     mode = "exits"
	raw       mode = "raw"
	validates mode = "validates"
	dumps     mode = "dumps"
	waits     mode = "waits"
	describes mode = "describes"
)

// ends are the modes that end without a signal.
var ends = []mode{returns, raises, fails, exits, raw, validates, dumps}

// A way is a way by which secrets can leak. The services have a function of its name.
type way struct {
	name  string
	says  string
	mode  mode
	trace trace
	// pythonOnly: Go has no such way.
	pythonOnly bool
}

func (w way) of(k sdk) bool { return k != golang || !w.pythonOnly }

// leaves is the trace under an SDK. The published one writes no problem document if a
// service exits.
func (w way) leaves(k sdk) trace {
	if k == upstream && w.mode == exits {
		return inLog
	}
	return w.trace
}

var channels = []way{
	{"print", "standard output", returns, inLog, false},
	{"stderr", "standard error", returns, inLog, false},
	{"split", "written in pieces, with pauses", returns, inLog, false},
	{"unfinished", "a line without an end", returns, inLog, false},
	{"logging", "`logging`, `log/slog`", returns, inLog, false},
	{"loguru", "loguru", returns, inLog, true},
	{"warning", "`warnings`", returns, inLog, true},
	{"libc", "written by a library in C", returns, inLog, true},
	{"atexit", "at the end of the interpreter", returns, inLog, true},
	{"child_output", "the output of a child", returns, inLog, false},
	{"dotenv", "a secret from `.env`", returns, inLog, false},
	{"environment", "a secret from the server's environment", returns, inLog, false},
	{"undeclared", "one from `.env` that the service reads itself", returns, ifThere, true},
	{"described", "the same, as the default of an input", describes, inPage, true},

	{"base64", "base64", returns, inLog, false},
	{"base64_behind_one", "base64, behind one byte", returns, inLog, false},
	{"base64_behind_two", "base64, behind two bytes", returns, inLog, false},
	{"base64_url", "base64 for URLs, without padding", returns, inLog, false},
	{"base64_broken_64", "base64, broken at 64 columns", returns, inLog, false},
	{"base64_broken_76", "base64, broken at 76 columns", returns, inLog, false},
	{"base64_of_echo", "base64, with a line end", returns, inLog, false},
	{"hex", "hexadecimal", returns, inLog, false},
	{"hex_upper", "hexadecimal, capitals", returns, inLog, false},
	{"base64_twice", "base64 of base64", returns, inLog, true},
	{"hex_twice", "hexadecimal of hexadecimal", returns, inLog, true},
	{"hex_pairs", "hexadecimal, with separators", returns, inLog, true},
	{"quoted_printable", "quoted-printable", returns, inLog, true},
	{"percent", "percent-encoded", returns, inLog, false},
	{"percent_lower", "percent-encoded, small letters", returns, inLog, true},
	{"percent_path", "percent-encoded, as a path", returns, inLog, false},
	{"percent_plus", "percent-encoded, as a form", returns, inLog, false},
	{"json", "JSON in ASCII, or with HTML escaped", returns, inLog, false},
	{"json_unicode", "JSON in Unicode", returns, inLog, false},
	{"json_in_json", "JSON in JSON", returns, inLog, true},
	{"repr", "`repr`, `%#v`", returns, inLog, false},
	{"repr_bytes", "`repr` of bytes", returns, inLog, true},
	{"ascii", "`ascii`, `strconv.QuoteToASCII`", returns, inLog, false},
	{"go_quote", "`strconv.Quote`", returns, inLog, false},
	{"shell_quote", "quoted for a shell", returns, inLog, true},
	{"shell_dollar", "quoted for a shell, as `$'…'`", returns, inLog, true},
	{"html", "escaped for HTML", returns, inLog, false},
	{"crlf", "with CRLF", returns, inLog, false},
	{"header", "a header `Authorization: Basic`", returns, inLog, false},
	{"url", "a URL, as password and parameter", returns, inLog, false},

	{"exception", "an exception, a panic", returns, inLog, false},
	{"exception_chained", "a chained exception, a wrapped error", returns, inLog, false},
	{"exception_circular", "exceptions that cause each other", returns, inLog, true},
	{"exception_note", "a note of an exception", returns, inLog, true},
	{"traceback_locals", "a traceback with the values of variables", returns, inLog, true},
	{"thread", "the exception of a thread", returns, inLog, true},
	{"uncaught", "an exception that ends the service", raises, inProblem, false},
	{"uncaught_cause", "the cause of one", raises, inLog, false},
	{"validation", "an error of validation by pydantic", validates, inProblem, true},
	{"problem", "the detail of a problem", fails, inProblem, false},
	{"problem_extensions", "members of a problem, values and keys", fails, inProblem, false},
	{"exit_message", "`sys.exit(message)`, `panic(message)`", exits, inProblem, false},

	{"result_value", "a value of the result", returns, inResult, false},
	{"result_text", "in a text of the result, twice", returns, inResult, false},
	{"result_key", "a key of the result", returns, inResult, false},
	{"nested", "a nested model, in keys and values", returns, inResult, false},
	{"raw_output", "an `output.json` that is no JSON", raw, inFile, false},
	{"text_file", "a result file, text", returns, inFile, false},
	{"encoded_file", "a result file, base64", returns, inFile, false},
	{"large_file", "a large result file, across the end of a block", returns, inFile, false},
	{"binary_file", "a result file, binary", returns, withheld, false},
	{"compound_file", "a result file, base64 in binary", returns, withheld, false},
	{"wide_file", "a result file in UTF-16", returns, withheld, true},
	{"file_name", "the name of a result file", returns, inName, false},
	{"folder_name", "the name of a folder in the output", returns, inName, false},

	{"os_environ", "the environment, as the service sees it", returns, notThere, false},
	{"environment_at_import", "the environment while the service is imported", returns, notThere, true},
	{"environment_block", "`/proc/self/environ`", returns, notThere, false},
	{"parent_environment", "`/proc/*/environ` of parents and the zygote", returns, notThere, false},
	{"arguments", "the arguments of the service and its parent", returns, notThere, false},
	{"child_environment", "the environment of a child", returns, notThere, false},
	{"child_environment_block", "`/proc/self/environ` of a child", returns, notThere, false},

	{"temporary_file", "a temporary file", returns, gone, false},
	{"home", "a file at home", returns, gone, false},
	{"current_folder", "a file in the current folder", returns, gone, false},
	{"core_dump", "a core dump", dumps, nowhere, false},
	{"killed", "the server is killed while it runs", waits, inLog, false},
	{"killed_files", "the same, with files that the service has written", waits, gone, false},
}

// The ways whose secrets come from the server, and from no request. The last two have no
// parameters: the service reads .env itself.
const (
	fromDotenv      = "dotenv"
	fromEnvironment = "environment"
	undeclared      = "undeclared"
	described       = "described"
)

// given are the canaries that a request brings.
func given(canaries []leak.Canary) []leak.Canary {
	return slices.DeleteFunc(declared(canaries), func(c leak.Canary) bool { return c.Cell == fromDotenv || c.Cell == fromEnvironment })
}

// declared are the canaries that a service has parameters for.
func declared(canaries []leak.Canary) []leak.Canary {
	return slices.DeleteFunc(slices.Clone(canaries), func(c leak.Canary) bool { return c.Cell == undeclared || c.Cell == described })
}

// channelsOf are the ways of one mode that an SDK has.
func channelsOf(k sdk, m mode) []way {
	return slices.DeleteFunc(slices.Clone(channels), func(w way) bool { return w.mode != m || !w.of(k) })
}

// parameter is the name of the parameter that carries a secret.
func parameter(c leak.Canary) string { return c.Cell + "_" + string(c.Shape) }
