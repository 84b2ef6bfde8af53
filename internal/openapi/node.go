package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

// The document is a tree of YAML nodes, because they keep the order of the keys
// for human readers.

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func boolean(value bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(value)}
}

func sequence(elements ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: elements}
}

// mapping takes keys (string) and values (*yaml.Node) in turn.
func mapping(pairs ...any) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		set(m, pairs[i].(string), pairs[i+1].(*yaml.Node)) //nolint:forcetypeassert // another type is a mistake in this package, and every test would fail
	}
	return m
}

// members are the keys and values of a mapping, in order; none of nil or of
// another kind of node.
func members(m *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if m == nil || m.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			if !yield(m.Content[i].Value, m.Content[i+1]) {
				return
			}
		}
	}
}

// get finds a value of a mapping; nil if there is none.
func get(m *yaml.Node, key string) *yaml.Node {
	for name, value := range members(m) {
		if name == key {
			return value
		}
	}
	return nil
}

// at walks down the keys of nested mappings; nil where there is no such key.
func at(m *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		m = get(m, key)
	}
	return m
}

func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, text(key), value)
}

func fromJSON(raw []byte) (*yaml.Node, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(raw))
	node, err := readNode(decoder)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return node, nil
}

func readNode(decoder *jsontext.Decoder) (*yaml.Node, error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case '{', '[':
		node := sequence()
		if token.Kind() == '{' {
			node = mapping()
		}
		for decoder.PeekKind() != '}' && decoder.PeekKind() != ']' {
			// The decoder returns a key in the form of a value: as a string.
			element, err := readNode(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, element)
		}
		_, err := decoder.ReadToken()
		return node, err
	case '"':
		return text(token.String()), nil
	case 't', 'f':
		return boolean(token.Bool()), nil
	case 'n':
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	case '0':
		return number(token.String()), nil
	default:
		return nil, io.ErrUnexpectedEOF
	}
}

func number(literal string) *yaml.Node {
	tag := "!!int"
	if bytes.ContainsAny([]byte(literal), ".eE") {
		tag = "!!float"
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: literal}
}

var errNode = errors.New("openapi: a node that has no form in JSON")

func toJSON(root *yaml.Node) ([]byte, error) {
	var buf bytes.Buffer
	encoder := jsontext.NewEncoder(&buf, jsontext.WithIndent("  "))
	if err := writeNode(encoder, root); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func writeNode(encoder *jsontext.Encoder, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode:
		return writeAll(encoder, node, jsontext.BeginObject, jsontext.EndObject)
	case yaml.SequenceNode:
		return writeAll(encoder, node, jsontext.BeginArray, jsontext.EndArray)
	case yaml.ScalarNode:
		if node.ShortTag() == "!!str" {
			return encoder.WriteToken(jsontext.String(node.Value))
		}
		if !json.Valid([]byte(node.Value)) {
			return errNode
		}
		return encoder.WriteValue(jsontext.Value(node.Value))
	default:
		return errNode
	}
}

func writeAll(encoder *jsontext.Encoder, node *yaml.Node, begin, end jsontext.Token) error {
	if err := encoder.WriteToken(begin); err != nil {
		return err
	}
	for _, element := range node.Content {
		if err := writeNode(encoder, element); err != nil {
			return err
		}
	}
	return encoder.WriteToken(end)
}
