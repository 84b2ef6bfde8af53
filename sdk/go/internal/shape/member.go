package shape

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Member makes the field of an object from a struct field and its tags.
func (b *Builder) Member(m Member, at string) (*Field, error) {
	if m.Quoted && !b.Output {
		return nil, fmt.Errorf(`%s: the json option "string" is not supported; use json.Number, or a string`, at)
	}
	s, err := b.Type(m.Field.Type, at)
	if err != nil {
		return nil, err
	}
	f := &Field{Name: m.Name, index: m.Index, Description: m.Field.Tag.Get("description")}
	if f.Shape, err = limited(s, m.Field.Tag); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	if err := f.annotate(m.Field.Tag, b); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	f.Optional = m.Optional || f.fallback != nil || s.kind == pointerKind
	return f, nil
}

// limited returns the shape with the limits of the tags. All fields of its type share s,
// so s does not change.
func limited(s *Shape, tag reflect.StructTag) (*Shape, error) {
	target, changed := s, false
	if s.kind == pointerKind {
		target = s.elem
	}
	narrowed := *target
	for _, limit := range limiting {
		text, ok := tag.Lookup(limit.name)
		if !ok {
			continue
		}
		value, err := tagValue(limit.name, text, target)
		if err == nil {
			err = narrowed.rules.set(limit.name, value, narrowed.kind)
		}
		if err != nil {
			return nil, err
		}
		changed = true
	}
	if !changed {
		return s, nil
	}
	if s.kind != pointerKind {
		return &narrowed, nil
	}
	pointer := *s
	pointer.elem = &narrowed
	return &pointer, nil
}

// tagValue turns the text of a tag into JSON.
func tagValue(name, text string, s *Shape) (json.RawMessage, error) {
	switch name {
	case "pattern", "format":
		return json.Marshal(text)
	case "enum":
		if strings.HasPrefix(text, "[") {
			return json.RawMessage(text), nil
		}
		var values []json.RawMessage
		for part := range strings.SplitSeq(text, ",") {
			value, err := literal(part, s)
			if err != nil {
				return nil, fmt.Errorf("enum: %w", err)
			}
			values = append(values, value)
		}
		return json.Marshal(values)
	default:
		return json.RawMessage(text), nil
	}
}

// literal is the JSON of a value in a tag: a string stands for itself if the values are
// strings, all else is JSON.
func literal(text string, s *Shape) (json.RawMessage, error) {
	target := s
	for target.kind == pointerKind {
		target = target.elem
	}
	switch target.kind {
	case stringKind, textKind, timeKind, durationKind, bytesKind:
		if s.kind == pointerKind && text == "null" {
			return json.RawMessage(text), nil
		}
		return json.Marshal(text)
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("the value in the tag is not JSON")
	}
	return json.RawMessage(text), nil
}

// annotate reads the tags without limits, and checks that the default and the examples are
// values of the field.
func (f *Field) annotate(tag reflect.StructTag, b *Builder) error {
	if text, ok := tag.Lookup("default"); ok {
		value, err := literal(text, f.Shape)
		if err != nil {
			return fmt.Errorf("default: %w", err)
		}
		if !b.Output {
			if err := f.Shape.check(value); err != nil {
				return fmt.Errorf("default: %w", err)
			}
		}
		f.fallback = value
	}
	text, ok := tag.Lookup("examples")
	if !ok {
		return nil
	}
	if strings.HasPrefix(text, "[") && json.Valid([]byte(text)) {
		f.examples = json.RawMessage(text)
		return nil
	}
	value, err := literal(text, f.Shape)
	if err != nil {
		return fmt.Errorf("examples: %w", err)
	}
	f.examples, err = json.Marshal([]json.RawMessage{value})
	return err
}

// check decodes a value to validate it.
func (s *Shape) check(value json.RawMessage) error {
	return s.Decode(value, reflect.New(s.typ).Elem(), "value").err()
}
