package build

import (
	"strings"

	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// describeError is the error of a service that reports why it cannot be described.
type describeError struct {
	cause    *signature.DescribeError
	language workspace.Language
	env      *workspace.Environment
}

func (e *describeError) Error() string   { return "the service cannot be described: " + e.cause.Message }
func (e *describeError) Details() string { return e.cause.Traceback }
func (e *describeError) Unwrap() error   { return e.cause }

func (e *describeError) Hint() string {
	switch e.cause.Kind {
	case "import":
		return e.importHint()
	case "syntax":
		return "correct the line that is named above"
	case "missing":
		return "the service is a function: def run(data: InputData, api_token: SecretValue) -> dict"
	case "collision":
		return "each secret needs its own environment variable"
	case "annotation":
		if e.language == workspace.Python {
			return "types of parameters: str, int, float, bool, list, dict, pydantic models, SecretValue, DataPool"
		}
		return "types of parameters: structs and all else that JSON has, secret.Value, datapool.Pool, pointers to these"
	default:
		return ""
	}
}

func (e *describeError) importHint() string {
	switch {
	case !strings.Contains(e.cause.Message, "ModuleNotFoundError") && !strings.Contains(e.cause.Message, "is not installed"):
		return "the module is imported before its secrets and its input are there; what needs them belongs into the function"
	case e.env.Managed:
		return "if a package is missing, add it to the dependencies in pyproject.toml or requirements.txt"
	default:
		return "if a package is missing, install it into " + e.env.Python + "; that environment is not qhubctl's, which leaves it unchanged"
	}
}

// undescribedError is the error of a program that was asked for a description and
// returned none.
type undescribedError struct {
	cause    error
	language workspace.Language
}

func (e *undescribedError) Error() string { return e.cause.Error() }
func (e *undescribedError) Unwrap() error { return e.cause }

func (e *undescribedError) Hint() string {
	if e.language == workspace.Python {
		return "its log is above; if there is none, look for what ends the process or crashes it while the module is imported"
	}
	return "the program must answer the argument --describe, which service.Main(run) does: call it first in main, and print nothing before"
}
