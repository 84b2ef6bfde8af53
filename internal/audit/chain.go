package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
)

// A Chain describes a chain before its entries are read.
type Chain struct {
	Tenant string
	// Signed is its signed head; without a key it is not signed.
	Signed Head
	// Keys are those that may have signed.
	Keys []Key
	// Anchors are entries that the chain must have.
	Anchors []Anchor
}

// A Report says what a verification has found, and where it cannot know.
type Report struct {
	Tenant string `json:"tenant"`
	// Entries is how many entries there are, and Dropped how many were dropped because of
	// their age before the first of them.
	Entries int64 `json:"entries"`
	Dropped int64 `json:"dropped"`
	// Head is the last entry.
	Head Anchor `json:"-"`
	// Key is the id of the key that has signed the head. Empty: whoever can write to the
	// database can have written the entries.
	Key string `json:"key"`
	// Anchored is the newest entry that a known anchor names. Entries after it can have
	// been cut off. Zero: nothing would show that.
	Anchored int64 `json:"anchored"`
}

// errRead ends the reading of a chain that has grown since its head was read.
var errRead = errors.New("all entries were read")

// Verify checks the chain that walk goes through, from its first entry to its last. An
// error that matches [ErrBroken] says that it is not the chain that was written.
func (c Chain) Verify(walk func(each func(Link) error) error) (Report, error) {
	v := NewVerifier(c.Tenant, c.Anchors...)
	v.StartAfter(c.Signed.Start)
	report := Report{Tenant: c.Tenant, Key: c.Signed.Key, Dropped: c.Signed.Start.Number}
	err := walk(func(l Link) error {
		if err := v.Add(l); err != nil {
			return err
		}
		if c.Signed.Key != "" && v.Head().Number == c.Signed.Number {
			return errRead
		}
		return nil
	})
	if err != nil && !errors.Is(err, errRead) {
		return report, err
	}
	report.Head = v.Head()
	report.Entries = report.Head.Number - report.Dropped
	if c.Signed.Key != "" {
		if err := v.vouched(c.Signed, c.Keys); err != nil {
			return report, err
		}
	}
	for _, a := range c.Anchors {
		err := v.Holds(a)
		switch {
		case errors.Is(err, ErrUnknown):
		case err != nil:
			return report, err
		default:
			report.Anchored = max(report.Anchored, a.Number)
		}
	}
	return report, nil
}

// checkPage is how many entries [Check] reads at once.
const checkPage = 1000

// Check verifies the chain of a tenant in a store. It must be signed with one of the keys.
func Check(ctx context.Context, s Store, tenant string, keys []Key, anchors ...Anchor) (Report, error) {
	signed, err := s.SignedHead(ctx, tenant)
	if err != nil {
		return Report{}, err
	}
	report, err := Chain{tenant, signed, keys, anchors}.Verify(func(each func(Link) error) error {
		for after := signed.Start.Number; ; {
			links, err := s.Links(ctx, tenant, after, checkPage)
			if err != nil {
				return err
			}
			for _, l := range links {
				if err := each(l); err != nil {
					return err
				}
			}
			if after += int64(len(links)); len(links) < checkPage {
				return nil
			}
		}
	})
	if err == nil && signed.Key != "" {
		err = nothingAfter(ctx, s, signed)
	}
	if err == nil && signed.Key == "" && report.Entries > 0 {
		err = fmt.Errorf("%w: nothing vouches for its last entry: it has no signed head", ErrBroken)
	}
	return report, err
}

// nothingAfter returns an error that matches [ErrBroken] if a chain has entries after its
// signed head, which has not grown meanwhile.
func nothingAfter(ctx context.Context, s Store, signed Head) error {
	after, err := s.Links(ctx, signed.Tenant, signed.Number, 1)
	if err != nil || len(after) == 0 {
		return err
	}
	now, err := s.SignedHead(ctx, signed.Tenant)
	if err == nil && now.Anchor == signed.Anchor {
		err = fmt.Errorf("%w: it has entries after its signed head, which is entry %d", ErrBroken, signed.Number)
	}
	return err
}

// CheckAll verifies the chains of all tenants, and the keys that the store has kept.
// Anchors are entries that the chains must have, by tenant. Broken are errors that match
// [ErrBroken].
func CheckAll(ctx context.Context, s Store, signer Signer, anchors map[string]Anchor) (reports []Report, broken []error, err error) {
	kept, err := s.Keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	trusted, err := Trusted(signer, kept)
	if err != nil {
		return nil, nil, err
	}
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return nil, nil, err
	}
	for tenant := range anchors {
		if !slices.Contains(tenants, tenant) {
			tenants = append(tenants, tenant)
		}
	}
	if err := checkKeys(trusted, kept); err != nil && len(tenants) > 0 {
		broken = append(broken, err)
	}
	for _, tenant := range tenants {
		var known []Anchor
		if a, ok := anchors[tenant]; ok {
			known = append(known, a)
		}
		report, err := Check(ctx, s, tenant, trusted, known...)
		switch {
		case errors.Is(err, ErrBroken):
			broken = append(broken, fmt.Errorf("account %s: %w", tenant, err))
		case err != nil:
			return nil, nil, err
		default:
			reports = append(reports, report)
		}
	}
	return reports, broken, nil
}

// checkKeys returns an error that matches [ErrBroken] unless the keys that a store has
// kept are those that are trusted.
func checkKeys(trusted, kept []Key) error {
	for _, k := range kept {
		at := slices.IndexFunc(trusted, func(t Key) bool { return t.ID == k.ID && t.Version == k.Version && bytes.Equal(t.Public, k.Public) })
		by := slices.IndexFunc(trusted, func(t Key) bool { return t.ID == k.By })
		if at < 0 || by < 0 || !trusted[by].verifies(k.statement(), k.Signature) {
			return fmt.Errorf("%w: the key %.32q that it has kept is not one of this platform", ErrBroken, k.ID)
		}
	}
	for _, k := range trusted {
		if !slices.ContainsFunc(kept, func(other Key) bool { return other.ID == k.ID }) {
			return fmt.Errorf("%w: it lacks the key %s", ErrBroken, k.ID)
		}
	}
	return nil
}
