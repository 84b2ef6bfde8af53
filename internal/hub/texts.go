package hub

import (
	"context"
	"encoding/json"

	"github.com/qhubctl/qhubctl/internal/registry"
)

// change changes a service of the caller's tenant.
func (h *Hub) change(ctx context.Context, id string, change func(*registry.Service)) (*none, error) {
	s, err := h.own(ctx, id)
	if err != nil {
		return nil, err
	}
	_, err = h.store.ChangeService(ctx, s.ID, func(s *registry.Service) error {
		change(s)
		return s.Check()
	})
	if err != nil {
		return nil, err
	}
	h.gateway.changed()
	return nil, nil
}

type displayNameInput struct {
	ByID
	Body struct {
		DisplayName string `json:"displayName,omitempty" nullable:"true" doc:"At most 70 characters. Empty: the name of the service."`
	}
}

func (h *Hub) setDisplayName(ctx context.Context, in *displayNameInput) (*none, error) {
	return h.change(ctx, in.ID, func(s *registry.Service) { s.DisplayName = in.Body.DisplayName })
}

type summaryInput struct {
	ByID
	Body struct {
		Summary string `json:"summary,omitempty" nullable:"true"`
	}
}

func (h *Hub) setSummary(ctx context.Context, in *summaryInput) (*none, error) {
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Summary = in.Body.Summary })
}

type descriptionInput struct {
	ByID
	Body struct {
		Description string `json:"description,omitempty" nullable:"true"`
	}
}

func (h *Hub) setDescription(ctx context.Context, in *descriptionInput) (*none, error) {
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Description = in.Body.Description })
}

// contact is how to reach the authors of a service.
type contact struct {
	Type    string `json:"type" required:"false" nullable:"true" doc:"EMAIL or LINK."`
	Name    string `json:"name" required:"false" nullable:"true"`
	Contact string `json:"contact" required:"false" nullable:"true" doc:"The address."`
}

type contactsInput struct {
	ByID
	Body []contact
}

func (h *Hub) setContacts(ctx context.Context, in *contactsInput) (*none, error) {
	list, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Contacts = list })
}

// link is an address about a service.
type link struct {
	Type string `json:"type" required:"false" nullable:"true" doc:"TERMS_OF_SERVICE, DOCUMENTATION, CODE_REPOSITORY or OTHER."`
	Name string `json:"name" required:"false" nullable:"true"`
	URL  string `json:"url" required:"false" nullable:"true"`
}

type linksInput struct {
	ByID
	Body []link
}

func (h *Hub) setLinks(ctx context.Context, in *linksInput) (*none, error) {
	list, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	return h.change(ctx, in.ID, func(s *registry.Service) { s.Links = list })
}
