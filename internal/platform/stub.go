// Package platform is a stand-in until the engine is there.
package platform

import (
	"encoding/json"

	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Service is one revision of a service.
type Service struct {
	ID, Revision, Name, Version, Description string
	Signature                                *signature.Signature
}

// RequestSignature is what a request must bring.
func (s *Service) RequestSignature() *signature.Signature { return s.Signature }

// A Submission is a request to run a service.
type Submission struct {
	ServiceID      string
	Body           []byte
	IdempotencyKey string
}

// A Result is what an execution has left.
type Result struct {
	Value json.RawMessage
	Files []ResultFile
}

// A ResultFile is a file that the service wrote.
type ResultFile struct {
	Name string
	Size int64
}
