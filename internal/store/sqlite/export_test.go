package sqlite

import (
	"context"
	"errors"
	"time"
)

// RepeatGroups has each group of operations run twice, as a conflict or a lost connection
// makes it: the first commit is rolled back.
func (s *Store) RepeatGroups(ctx context.Context) error {
	w := s.writer
	return w.submit(ctx, &op{done: make(chan struct{}), outside: func() error {
		w.session, w.patience = &repeating{session: w.session}, time.Minute
		return nil
	}})
}

type repeating struct {
	session
	again bool
}

var errRepeat = errors.New("the first commit of a test")

func (r *repeating) commit(n notices) error {
	if r.again = !r.again; r.again {
		return &repeatableError{errRepeat}
	}
	return r.session.commit(n)
}
