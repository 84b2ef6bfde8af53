package signature

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	// MaxWhole is about how much memory a part of a large body may take if it must be
	// decoded as a whole, because its schema compares its elements.
	MaxWhole = 32 << 20
	// maxStreamed is how many errors of a large value are listed.
	maxStreamed = 1000
	// maxWalks bounds how often a value is read, once for each alternative
	// that its schema has for it.
	maxWalks = 64
)

// A TooLargeError says that a body cannot be checked within the bounds of memory and
// time.
type TooLargeError struct {
	// Path is the value that cannot be checked.
	Path string
	// Steps says that there are too many alternatives, not too much memory.
	Steps bool
}

func (e *TooLargeError) Error() string {
	if e.Steps {
		return e.Path + " is too large for the number of alternatives in its schema; send less"
	}
	return fmt.Sprintf("%s is too large for its schema, which has to see all of it at once, in more than %d MiB of memory; send less",
		e.Path, MaxWhole>>20)
}

// wholes lets one large part at a time be decoded as a whole, over all requests.
var wholes sync.Mutex

// A checker checks a value of a large body without decoding it: lists and
// objects are read element by element, and only small values are decoded.
type checker struct {
	survey
	input
	root path // where the value stands
	errs *Errors
	// limit is the number of errors after which the check ends.
	limit int
	// work is the number of bytes of large values that may still be read.
	work *int
	// failed is a *TooLargeError.
	failed *error
	shapes map[*jsonschema.Schema]*shape
}

// stream is validate for the value of a large body. Lists and objects longer
// than large are not decoded. The error is a [*TooLargeError].
func (in input) stream(value []byte, at path, large int) (Errors, error) {
	if !numbersFit(value, in.exact) {
		return Errors{{Path: at.String(), Message: errNumber.Error()}}, nil
	}
	if in.schema == nil {
		return nil, nil
	}
	var errs Errors
	var failed error
	work := maxWalks * len(value)
	c := checker{survey: surveyed(value, large), input: in, root: at, errs: &errs, limit: maxStreamed, work: &work, failed: &failed,
		shapes: map[*jsonschema.Schema]*shape{}}
	start := skipSpace(value, 0)
	if _, isLarge := c.end(start); isLarge && in.dynamic {
		c.whole(in.schema, start, at)
	} else {
		c.value(in.schema, start, at)
	}
	if failed != nil {
		return nil, failed
	}
	if len(errs) >= maxStreamed {
		errs = append(errs[:maxStreamed], FieldError{Path: at.String(), Message: fmt.Sprintf("has more errors; the first %d are listed", maxStreamed)})
	}
	return errs.sorted(), nil
}

func (c *checker) done() bool { return len(*c.errs) >= c.limit || *c.failed != nil }

func (c *checker) fail(errs ...FieldError) { *c.errs = append(*c.errs, errs...) }

func (c *checker) failAt(at path, message string) {
	c.fail(FieldError{Path: at.String(), Message: message})
}

// value checks the value at a place, and returns its end.
func (c *checker) value(s *jsonschema.Schema, start int, at path) (end int) {
	if _, large := c.largeAt(start); !large {
		if end, fits := c.fits(s, start, 0); fits {
			return end
		}
	}
	end, large := c.end(start)
	if !large {
		c.decoded(s, start, at)
		return end
	}
	if *c.work -= end - start; *c.work < 0 {
		*c.failed = &TooLargeError{Path: at.String(), Steps: true}
		return end
	}
	c.container(s, start, end, at, 0)
	return end
}

// decoded checks a value by decoding it.
func (c *checker) decoded(s *jsonschema.Schema, start int, at path) {
	if s.Bool != nil && *s.Bool {
		return
	}
	instance, _ := newTreeReader(c.text, c.exact).value(start)
	c.report(s.Validate(instance), instance, at)
}

func (c *checker) report(err error, instance any, at path) {
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
	case errors.As(err, &invalid):
		c.fail(explain(invalid, instance, at)...)
	default:
		c.failAt(at, "cannot be checked")
	}
}

// whole checks a large value by decoding it, within its bound of memory.
func (c *checker) whole(s *jsonschema.Schema, start int, at path) {
	end, _ := c.end(start)
	if surveyed(c.text[start:end], largeValue).decoded > MaxWhole {
		*c.failed = &TooLargeError{Path: at.String()}
		return
	}
	wholes.Lock()
	defer wholes.Unlock()
	c.decoded(s, start, at)
}

// try reports whether the large value fits another schema.
func (c *checker) try(s *jsonschema.Schema, start, end int, at path, depth int) bool {
	var errs Errors
	trial := *c
	trial.errs, trial.limit = &errs, 1
	if *c.work -= end - start; *c.work < 0 {
		*c.failed = &TooLargeError{Path: at.String(), Steps: true}
		return false
	}
	trial.container(s, start, end, at, depth)
	return len(errs) == 0
}

// maxReferences is how many schemas may refer to each other for one value. The library
// reports circles.
const maxReferences = 100

// container checks a large list or object.
func (c *checker) container(s *jsonschema.Schema, start, end int, at path, depth int) {
	isObject := c.text[start] == '{'
	if depth > maxReferences || needsWhole(s, isObject) {
		c.whole(s, start, at)
		return
	}
	if c.done() || c.early(s, isObject, at) {
		return
	}
	if s.Ref != nil {
		c.container(s.Ref, start, end, at, depth+1)
	}
	var present map[string]bool
	if isObject {
		present = c.object(s, start, at)
	} else {
		c.list(s, start, at)
	}
	for name, dependent := range s.DependentSchemas {
		if present[name] {
			c.container(dependent, start, end, at, depth+1)
		}
	}
	c.combined(s, start, end, at, depth+1)
	for _, extension := range s.Extensions {
		c.extension(extension, isObject, present, at)
	}
}

// early checks the keywords that end the check of a schema.
func (c *checker) early(s *jsonschema.Schema, isObject bool, at path) (failed bool) {
	switch {
	case s.Bool != nil:
		if !*s.Bool {
			c.failAt(at, "is not allowed")
		}
		return true
	case s.Types != nil && !s.Types.IsEmpty() && !slices.Contains(s.Types.ToStrings(), containerType(isObject)):
		c.failAt(at, mustBe(s.Types.ToStrings()))
	case s.Const != nil:
		c.failAt(at, "must be "+list([]any{*s.Const}))
	case s.Enum != nil:
		c.failAt(at, "must be one of "+list(s.Enum.Values))
	default:
		return false
	}
	return true
}

func containerType(isObject bool) string {
	if isObject {
		return "object"
	}
	return "array"
}

// needsWhole reports whether a schema has keywords for a list or object that
// are not checked as a stream.
func needsWhole(s *jsonschema.Schema, isObject bool) bool {
	if s.Bool != nil {
		return false
	}
	if s.DraftVersion < 2020 || s.UnevaluatedItems != nil || s.UnevaluatedProperties != nil || len(s.Dependencies) > 0 {
		return true
	}
	if !isObject && (s.UniqueItems || s.Contains != nil) {
		return true
	}
	if slices.ContainsFunc(slices.Concat(s.AnyOf, s.OneOf), func(branch *jsonschema.Schema) bool { return isConditional(branch, 0) }) {
		return true
	}
	return s.Const != nil && isContainer(*s.Const) || s.Enum != nil && slices.ContainsFunc(s.Enum.Values, isContainer)
}

func isContainer(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// list checks the keywords for lists.
func (c *checker) list(s *jsonschema.Schema, start int, at path) {
	item := 0
	for pos := skipSpace(c.text, start+1); c.text[pos] != ']' && !c.done(); item++ {
		schema := s.Items2020
		if item < len(s.PrefixItems) {
			schema = s.PrefixItems[item]
		}
		var end int
		if schema == nil {
			end, _ = c.end(pos)
		} else {
			end = c.value(schema, pos, append(slices.Clip(at), item))
		}
		pos = c.next(end)
	}
	if c.done() {
		return
	}
	if s.MinItems != nil && item < *s.MinItems {
		c.failAt(at, fmt.Sprintf("must have at least %d elements", *s.MinItems))
	}
	if s.MaxItems != nil && item > *s.MaxItems {
		c.failAt(at, fmt.Sprintf("must have at most %d elements", *s.MaxItems))
	}
}

// next is the place behind the comma after an element, or of the closing
// bracket.
func (c *checker) next(at int) int {
	return (&treeReader{text: c.text}).next(at)
}

// object checks the keywords for objects. present are the names of the object that other
// keywords mention.
func (c *checker) object(s *jsonschema.Schema, start int, at path) (present map[string]bool) {
	present = map[string]bool{}
	asked := askedNames(s)
	count := 0
	reader := &treeReader{text: c.text}
	for pos := skipSpace(c.text, start+1); c.text[pos] != '}' && !c.done(); count++ {
		name, after := reader.str(pos)
		if asked[name] {
			present[name] = true
		}
		pos = skipSpace(c.text, skipSpace(c.text, after)+1) // after the colon
		c.member(s, name, pos, at)
		end, _ := c.end(pos)
		pos = c.next(end)
	}
	if c.done() {
		return present
	}
	if s.MinProperties != nil && count < *s.MinProperties {
		c.failAt(at, fmt.Sprintf("must have at least %d fields", *s.MinProperties))
	}
	if s.MaxProperties != nil && count > *s.MaxProperties {
		c.failAt(at, fmt.Sprintf("must have at most %d fields", *s.MaxProperties))
	}
	c.missing(s.Required, present, at, "is required")
	for name, required := range s.DependentRequired {
		if present[name] {
			c.missing(required, present, at, "is required beside "+name)
		}
	}
	return present
}

func (c *checker) missing(required []string, present map[string]bool, at path, message string) {
	for _, name := range required {
		if !present[name] {
			c.failAt(at.key(name), message)
		}
	}
}

// askedNames are the names that keywords of a schema mention.
func askedNames(s *jsonschema.Schema) map[string]bool {
	asked := map[string]bool{}
	add := func(names ...string) {
		for _, name := range names {
			asked[name] = true
		}
	}
	add(s.Required...)
	for name, required := range s.DependentRequired {
		add(name)
		add(required...)
	}
	for name := range s.DependentSchemas {
		add(name)
	}
	for _, extension := range s.Extensions {
		if check, is := extension.(*checkKeywords); is {
			for _, group := range check.groups {
				add(group...)
			}
		}
	}
	return asked
}

// member checks one member of an object.
func (c *checker) member(s *jsonschema.Schema, name string, start int, at path) {
	known := false
	if schema, has := s.Properties[name]; has {
		known = true
		c.value(schema, start, at.key(name))
	}
	for pattern, schema := range s.PatternProperties {
		if pattern.MatchString(name) {
			known = true
			c.value(schema, start, at.key(name))
		}
	}
	if !known {
		switch additional := s.AdditionalProperties.(type) {
		case bool:
			if !additional {
				c.failAt(at.key(name), "there is no such field")
			}
		case *jsonschema.Schema:
			c.value(additional, start, at.key(name))
		}
	}
	if s.PropertyNames != nil {
		c.report(s.PropertyNames.Validate(name), nil, c.root)
	}
}

// extension checks the keywords of checkVocabulary.
func (c *checker) extension(extension jsonschema.SchemaExt, isObject bool, present map[string]bool, at path) {
	check, is := extension.(*checkKeywords)
	if !is {
		return
	}
	for _, group := range check.groups {
		if isObject && !slices.ContainsFunc(group, func(name string) bool { return present[name] }) {
			c.failAt(at.key(group[0]), "is required")
		}
	}
	if len(check.kinds) > 0 { // none accepts a list or an object
		c.failAt(at, mustBe(check.wanted()))
	}
}

// splitLarge is split for a large body: the values are parts of the body.
func splitLarge(body []byte) ([]member, error) {
	members, err := splitWith(body, func(value jsontext.Value) jsontext.Value { return value }, jsontext.AllowDuplicateNames(true))
	if err != nil {
		return nil, err
	}
	if surveyed(body, largeValue).repeated {
		return nil, syntaxError(jsontext.ErrDuplicateName)
	}
	return members, nil
}
