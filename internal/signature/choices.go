package signature

import (
	"maps"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// combined checks the keywords that put schemas together.
func (c *checker) combined(s *jsonschema.Schema, start, end int, at path, depth int) {
	if s.Not != nil && !c.done() && c.try(s.Not, start, end, at, depth) && *c.failed == nil {
		c.failAt(at, "does not match the schema")
	}
	for _, part := range s.AllOf {
		c.container(part, start, end, at, depth)
	}
	if len(s.AnyOf) > 0 {
		c.choice(s.AnyOf, false, start, end, at, depth)
	}
	if len(s.OneOf) > 0 {
		c.choice(s.OneOf, true, start, end, at, depth)
	}
	if s.If != nil && !c.done() {
		switch fits := c.try(s.If, start, end, at, depth); {
		case *c.failed != nil:
		case fits && s.Then != nil:
			c.container(s.Then, start, end, at, depth)
		case !fits && s.Else != nil:
			c.container(s.Else, start, end, at, depth)
		}
	}
}

// choice checks alternatives. It skips those whose type does not fit, without reading the
// value again.
func (c *checker) choice(branches []*jsonschema.Schema, one bool, start, end int, at path, depth int) {
	if c.done() {
		return
	}
	isObject := c.text[start] == '{'
	var fitting []*jsonschema.Schema
	types := map[string]bool{}
	for _, branch := range branches {
		wanted := wantedTypes(branch, isObject, 0)
		if len(wanted) == 0 {
			fitting = append(fitting, branch)
		}
		for _, name := range wanted {
			types[name] = true
		}
	}
	switch {
	case len(fitting) == 0:
		c.failAt(at, mustBe(slices.Sorted(maps.Keys(types))))
		return
	case len(fitting) == 1: // the intended one
		c.container(fitting[0], start, end, at, depth)
		return
	}
	matched := 0
	for _, branch := range fitting {
		if c.try(branch, start, end, at, depth) {
			matched++
		}
		if *c.failed != nil || matched > 0 && !one || matched > 1 {
			break
		}
	}
	switch {
	case *c.failed != nil:
	case matched == 0:
		c.failAt(at, "fits none of the allowed types")
	case matched > 1 && one:
		c.failAt(at, mustBe(nil))
	}
}

// wantedTypes are the types that a schema wants in place of a list or object; none if it
// allows that.
func wantedTypes(s *jsonschema.Schema, isObject bool, depth int) (wanted []string) {
	if s.Bool != nil || depth > maxReferences {
		return nil
	}
	if s.Types != nil && !s.Types.IsEmpty() {
		if types := s.Types.ToStrings(); !slices.Contains(types, containerType(isObject)) {
			return types
		}
	}
	if s.Const != nil || s.Enum != nil { // these are checked before all others
		return nil
	}
	if s.Ref != nil {
		wanted = wantedTypes(s.Ref, isObject, depth+1)
	}
	for _, part := range s.AllOf {
		wanted = append(wanted, wantedTypes(part, isObject, depth+1)...)
	}
	for _, extension := range s.Extensions {
		if check, is := extension.(*checkKeywords); is && len(check.kinds) > 0 {
			wanted = append(wanted, check.wanted()...)
		}
	}
	return wanted
}

// isConditional reports whether the types that an alternative wants depend on
// the value.
func isConditional(s *jsonschema.Schema, depth int) bool {
	if depth > maxReferences {
		return true
	}
	return s.If != nil || len(s.DependentSchemas) > 0 || s.Ref != nil && isConditional(s.Ref, depth+1) ||
		slices.ContainsFunc(s.AllOf, func(part *jsonschema.Schema) bool { return isConditional(part, depth+1) })
}

// isDynamic reports whether a schema that s leads to has a reference whose target depends
// on the way there. The stream does not split such a schema.
func isDynamic(s *jsonschema.Schema) bool {
	seen := map[*jsonschema.Schema]bool{}
	var look func(*jsonschema.Schema) bool
	look = func(s *jsonschema.Schema) bool {
		if s == nil || seen[s] {
			return false
		}
		seen[s] = true
		return s.DynamicRef != nil || s.RecursiveRef != nil || slices.ContainsFunc(partsOf(s), look)
	}
	return look(s)
}

// partsOf are the schemas that a schema leads to.
func partsOf(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := []*jsonschema.Schema{
		s.Ref, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	parts = slices.Concat(parts, s.AllOf, s.AnyOf, s.OneOf, s.PrefixItems, slices.Collect(maps.Values(s.Properties)),
		slices.Collect(maps.Values(s.PatternProperties)), slices.Collect(maps.Values(s.DependentSchemas)))
	others := []any{s.AdditionalProperties, s.Items, s.AdditionalItems}
	others = append(others, slices.Collect(maps.Values(s.Dependencies))...)
	for _, other := range others {
		switch other := other.(type) {
		case *jsonschema.Schema:
			parts = append(parts, other)
		case []*jsonschema.Schema:
			parts = append(parts, other...)
		}
	}
	return parts
}
