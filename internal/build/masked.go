package build

import (
	"encoding/json"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// shown are the members of a description that only people read. Names, types and rules
// are not masked, as masking them would change the described service.
var shown = map[string]bool{"default": true, "examples": true, "description": true, "title": true}

// maskDescription masks secrets in a description, which is kept in a file and shown to
// callers. A module that reads .env may have used a secret as a default.
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
