package hub

import (
	"errors"
	"slices"
	"strconv"
	"testing"
)

// TestAccountsTakeTurnsWithBuilds has an account with many builds wait for one with few.
func TestAccountsTakeTurnsWithBuilds(t *testing.T) {
	t.Parallel()
	b := newBuilds(nil, 0)
	for i := range maxWaitingBuilds {
		if err := b.room("many"); err != nil {
			t.Fatalf("room() for build %d = %v, want nil", i, err)
		}
		b.add("many-"+strconv.Itoa(i), "many")
	}
	b.add("many-0", "many") // it waits already
	if err := b.room("many"); !errors.Is(err, errManyBuilds) {
		t.Errorf("room() of a full account = %v, want %v", err, errManyBuilds)
	}
	if err := b.room("few"); err != nil {
		t.Errorf("room() of another account = %v, want nil", err)
	}
	b.add("few-0", "few")
	b.add("few-1", "few")
	var order []string
	for revision, ok := b.next(); ok; revision, ok = b.next() {
		order = append(order, revision)
	}
	want := []string{"many-0", "few-0", "many-1", "few-1", "many-2", "many-3"}
	if !slices.Equal(order[:len(want)], want) || len(order) != maxWaitingBuilds+2 {
		t.Errorf("the order of %d builds begins %v, want %v", len(order), order[:len(want)], want)
	}
	if err := b.room("many"); err != nil {
		t.Errorf("room() of an account without builds = %v, want nil", err)
	}
}
