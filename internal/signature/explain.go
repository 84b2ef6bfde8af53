package signature

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// explain turns the tree of a failed validation into flat errors. It writes the messages
// itself, because those of the library repeat the values that they reject.
func explain(failed *jsonschema.ValidationError, instance any, at path) Errors {
	var errs Errors
	for _, leaf := range leaves(failed) {
		where := locate(instance, leaf.InstanceLocation, at)
		errs = append(errs, messages(leaf, where)...)
	}
	return errs.sorted()
}

// leaves are the errors that explain the problem: below a choice of types, those of the
// one branch that was meant, if only one fits.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		if branch := meantBranch(e); branch != nil {
			return leaves(branch)
		}
		return []*jsonschema.ValidationError{e}
	}
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// meantBranch is the only branch of a choice whose type fits the value.
func meantBranch(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	var meant *jsonschema.ValidationError
	for _, branch := range e.Causes {
		if len(mismatchedTypes(branch, e.InstanceLocation)) > 0 {
			continue
		}
		if meant != nil {
			return nil //nolint:nilerr // without the value, no branch fits
		}
		meant = branch
	}
	return meant
}

// mismatchedTypes are the types that a branch wanted of the value at location
// itself; empty if the value has the right type.
func mismatchedTypes(branch *jsonschema.ValidationError, location []string) []string {
	var types []string
	for _, leaf := range leaves(branch) {
		if wrong, ok := leaf.ErrorKind.(*kind.Type); ok && len(leaf.InstanceLocation) == len(location) {
			types = append(types, wrong.Want...)
		}
	}
	return types
}

// locate turns the tokens of a JSON pointer into a path: only the value itself shows
// whether "2" is a key or an index.
func locate(instance any, tokens []string, at path) path {
	at = slices.Clip(at)
	for _, token := range tokens {
		switch value := instance.(type) {
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(value) {
				return at
			}
			at, instance = append(at, i), value[i]
		case map[string]any:
			at, instance = append(at, token), value[token]
		}
	}
	return at
}

func messages(e *jsonschema.ValidationError, at path) Errors {
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		return each(k.Missing, at, "is required")
	case *kind.AdditionalProperties:
		return each(k.Properties, at, "there is no such field")
	case *kind.DependentRequired:
		return each(k.Missing, at, "is required beside "+k.Prop)
	default:
		return Errors{{Path: at.String(), Message: message(e)}}
	}
}

func each(keys []string, at path, message string) Errors {
	var errs Errors
	for _, key := range keys {
		errs = append(errs, FieldError{Path: at.key(key).String(), Message: message})
	}
	return errs
}

func message(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return mustBe(k.Want)
	case *kind.AnyOf, *kind.OneOf:
		return choiceMessage(e)
	case *kind.Enum:
		return "must be one of " + list(k.Want)
	case *kind.Const:
		return "must be " + list([]any{k.Want})
	case *kind.Format:
		return "must be a " + k.Want
	case *kind.Pattern:
		return "must match " + k.Want
	case *kind.FalseSchema:
		return "is not allowed"
	case *kind.UniqueItems:
		return "must not hold an element twice"
	case *kind.PropertyNames:
		return "has a key that is not allowed"
	}
	return boundMessage(e.ErrorKind)
}

func boundMessage(errorKind jsonschema.ErrorKind) string {
	switch k := errorKind.(type) {
	case *kind.Minimum:
		return "must be at least " + number(k.Want)
	case *kind.Maximum:
		return "must be at most " + number(k.Want)
	case *kind.ExclusiveMinimum:
		return "must be greater than " + number(k.Want)
	case *kind.ExclusiveMaximum:
		return "must be less than " + number(k.Want)
	case *kind.MultipleOf:
		return "must be a multiple of " + number(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %d elements", k.Want)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %d elements", k.Want)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %d elements too many", k.Count)
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %d fields", k.Want)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %d fields", k.Want)
	default:
		return "does not match the schema"
	}
}

// choiceMessage names the types of a choice if all its branches fail on the type alone.
func choiceMessage(e *jsonschema.ValidationError) string {
	types := map[string]bool{}
	for _, branch := range e.Causes {
		wanted := mismatchedTypes(branch, e.InstanceLocation)
		if len(wanted) == 0 {
			return "fits none of the allowed types"
		}
		for _, name := range wanted {
			types[name] = true
		}
	}
	return mustBe(slices.Sorted(maps.Keys(types)))
}

func mustBe(types []string) string {
	named := make([]string, len(types))
	for i, name := range types {
		named[i] = article(name)
	}
	return "must be " + strings.Join(named, " or ")
}

func article(name string) string {
	switch name {
	case "null":
		return name
	case "array", "object", "integer":
		return "an " + name
	default:
		return "a " + name
	}
}

func list(values []any) string {
	texts := make([]string, len(values))
	for i, value := range values {
		text, err := json.Marshal(value)
		if err != nil { // cannot happen: the values come from JSON
			text = []byte("?")
		}
		texts[i] = string(text)
	}
	return strings.Join(texts, ", ")
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}
