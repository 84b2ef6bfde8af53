package audit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/qhubctl/qhubctl/internal/audit"
)

func links(t *rapid.T) []audit.Link {
	var list []audit.Link
	previous := ""
	for i := range rapid.IntRange(2, 12).Draw(t, "entries") {
		e := audit.Entry{
			Tenant: "t", Action: rapid.SampledFrom([]string{"publish", "delete-service"}).Draw(t, "action"),
			Target: rapid.String().Draw(t, "target"), Outcome: audit.Done, Actor: audit.Actor{Kind: "person", ID: "u"},
			Details: rapid.MapOf(rapid.StringN(1, 5, 20), rapid.String()).Draw(t, "details"),
		}
		l, err := audit.Next(int64(i+1), previous, e)
		if err != nil {
			t.Fatal(err)
		}
		previous = l.Hash
		list = append(list, l)
	}
	return list
}

func verify(list []audit.Link, anchors ...audit.Anchor) error {
	v := audit.NewVerifier("t", anchors...)
	for _, l := range list {
		if err := v.Add(l); err != nil {
			return err
		}
	}
	for _, a := range anchors {
		if err := v.Holds(a); err != nil {
			return err
		}
	}
	return nil
}

// TestEditsAreFound edits chains at random: bytes, hashes, removals, swaps, repetitions,
// and new hashes for edited entries.
func TestEditsAreFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := links(t)
		last := audit.Anchor{Number: int64(len(list)), Hash: list[len(list)-1].Hash}
		if err := verify(list, last); err != nil {
			t.Fatalf("an unchanged chain: %v, want nil", err)
		}
		at := rapid.IntRange(0, len(list)-1).Draw(t, "at")
		edited := slices.Clone(list)
		switch rapid.SampledFrom([]string{"byte", "rehashed", "removed", "swapped", "repeated", "cut", "forged end"}).Draw(t, "edit") {
		case "byte":
			text := slices.Clone(edited[at].Entry)
			text[rapid.IntRange(0, len(text)-1).Draw(t, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(t, "bits"))
			edited[at].Entry = text
		case "rehashed":
			e, err := edited[at].Read()
			if err != nil {
				t.Fatal(err)
			}
			e.Actor.ID = "another"
			if edited[at], err = audit.Next(e.Number, e.Previous, e); err != nil {
				t.Fatal(err)
			}
		case "removed":
			edited = slices.Delete(edited, at, at+1)
		case "swapped":
			edited[at], edited[(at+1)%len(edited)] = edited[(at+1)%len(edited)], edited[at]
		case "repeated":
			edited = slices.Insert(edited, at, edited[at])
		case "cut":
			edited = edited[:at]
		case "forged end":
			l, err := audit.Next(last.Number, "", audit.Entry{Tenant: "t", Action: "nothing"})
			if err != nil {
				t.Fatal(err)
			}
			edited[len(edited)-1] = l
		}
		if err := verify(edited, last); !errors.Is(err, audit.ErrBroken) {
			t.Fatalf("an edited chain: %v, want %v", err, audit.ErrBroken)
		}
	})
}

func TestAnchors(t *testing.T) {
	good := audit.Anchor{Number: 12, Hash: strings.Repeat("ab", 32)}
	if got, err := audit.ParseAnchor(good.String()); err != nil || got != good {
		t.Errorf("ParseAnchor(%s) = %v, %v, want it", good, got, err)
	}
	for _, bad := range []string{"", "12", "12:", ":" + good.Hash, "0:" + good.Hash, "12:" + good.Hash + "0", "12:abc", " " + good.String(), good.String() + " "} {
		if got, err := audit.ParseAnchor(bad); err == nil {
			t.Errorf("ParseAnchor(%q) = %v, want an error", bad, got)
		}
	}
}

func TestRecordIsWrittenOnce(t *testing.T) {
	audit.Note(context.Background(), "no", "record")
	r := audit.NewRecord(audit.Entry{Tenant: "t"})
	ctx := audit.With(context.Background(), r)
	audit.Note(ctx, "name", strings.Repeat("é", 150))
	e, ok := audit.From(ctx).Entry()
	if !ok || len(e.Details["name"]) != 200 {
		t.Errorf("Entry() = %+v, %t, want 200 bytes of the name", e, ok)
	}
	r.Written()
	if _, ok := r.Entry(); ok {
		t.Error("Entry() of a written record = true, want false")
	}
}
