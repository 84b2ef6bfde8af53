package engine

import (
	"fmt"

	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// checkTags refuses a tag with a secret of the same request. Tags are for finding
// executions: they are stored, listed and searched in the clear, so a masked one would be
// of no use. Stored secrets are not searched for: the refusal would confirm guesses.
func checkTags(request *signature.Request) error {
	if len(request.Tags) == 0 || len(request.Secrets) == 0 {
		return nil
	}
	values := make([]masking.Value, 0, len(request.Secrets))
	for name, value := range request.Secrets {
		values = append(values, masking.Value{Named: plaintext.Named{Name: name, Value: value}, Declared: true})
	}
	maskers := masking.New(values)
	defer maskers.Clear()
	var errs signature.Errors
	for i, tag := range request.Tags {
		if maskers.Log.String(tag) != tag {
			errs = append(errs, signature.FieldError{
				Path: fmt.Sprintf("%s[%d]", signature.TagsKey, i), Message: "holds a secret of this request, and tags are listed in the clear: use another tag",
			})
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}
