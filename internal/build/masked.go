package build

import (
	"encoding/json"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// shown are the members of a description that only people read. Names, types
// and rules are not masked: that would describe another service.
var shown = map[string]bool{"default": true, "examples": true, "description": true, "title": true}

// maskDescription takes secrets out of a description, which is kept in a file
// and shown to callers: a module that reads .env may have made one a
// default.
func maskDescription(m *redact.Masker, document json.RawMessage) json.RawMessage {
	if !m.Contains(document) {
		return document
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) == nil {
		for name, member := range members {
			if shown[name] {
				if masked, err := m.JSON(member); err == nil {
					members[name] = masked
				}
				continue
			}
			members[name] = maskDescription(m, member)
		}
		return encoded(members, document)
	}
	var elements []json.RawMessage
	if json.Unmarshal(document, &elements) == nil {
		for i, element := range elements {
			elements[i] = maskDescription(m, element)
		}
		return encoded(elements, document)
	}
	return document
}

func encoded(value any, otherwise json.RawMessage) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		return otherwise
	}
	return text
}
