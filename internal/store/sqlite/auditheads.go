package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	headColumns = `tenant_id, number, hash, start_number, start_hash, broken, sealed, key, signature`

	selectSignedHead  = `SELECT ` + headColumns + ` FROM audit_heads WHERE tenant_id = $1`
	selectSignedHeads = `SELECT ` + headColumns + ` FROM audit_heads ORDER BY tenant_id`
	selectDueHeads    = `SELECT ` + headColumns + ` FROM audit_heads WHERE anchored <> number ORDER BY tenant_id`

	upsertHead = `INSERT INTO audit_heads (` + headColumns + `, anchored) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)
	ON CONFLICT (tenant_id) DO UPDATE SET number = excluded.number, hash = excluded.hash, start_number = excluded.start_number,
	start_hash = excluded.start_hash, broken = excluded.broken, sealed = excluded.sealed, key = excluded.key, signature = excluded.signature`

	updateAnchored = `UPDATE audit_heads SET anchored = $1 WHERE tenant_id = $2`

	selectAuditTenants = `SELECT tenant_id FROM audit UNION SELECT tenant_id FROM audit_heads ORDER BY tenant_id`

	selectAuditKeys = `SELECT id, version, public, signed_by, signature FROM audit_keys ORDER BY version DESC, id`

	upsertAuditKey = `INSERT INTO audit_keys (id, version, public, signed_by, signature) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (id) DO UPDATE SET version = excluded.version, public = excluded.public, signed_by = excluded.signed_by, signature = excluded.signature`
)

// signing is what the writer needs to sign chains. Its fields belong to the goroutine.
type signing struct {
	signer  audit.Signer // nil: heads are not signed
	trusted []audit.Key
	// known are the last heads that this process has seen committed, or that are in the
	// file of anchors.
	known map[string]audit.Anchor
	// sealed is how many changes of sealed values there have been; negative: read it.
	sealed int64
	// grown are the chains that the current transaction has added to.
	grown map[string]*growth
	// written are the heads that this process has committed while no other has changed
	// the database, whose version is writtenAt.
	written   map[string]audit.Head
	writtenAt int64
	checked   bool // in the current transaction
}

// SignAudit has the store sign the head of each chain that grows, from now on. Anchors
// are heads that the chains must have: a chain that lacks its anchor, or whose head is not
// valid when it grows, is broken for good. First signs the chains of a store that has
// never signed one.
func (s *Store) SignAudit(ctx context.Context, signer audit.Signer, anchors map[string]audit.Anchor, first bool) error {
	w := s.writer
	err := w.submit(ctx, &op{durability: survivesPowerLoss, done: make(chan struct{}), run: func(t *tx) error {
		trusted, err := keepKeys(t, signer)
		if err != nil {
			return err
		}
		known := maps.Clone(w.signing.known)
		if known == nil {
			known = map[string]audit.Anchor{}
		}
		for tenant, a := range anchors {
			if known[tenant].Number < a.Number {
				known[tenant] = a
			}
		}
		if first {
			if err := signAll(t, signer); err != nil {
				return err
			}
			if err := signAllSealed(t, signer, 0); err != nil {
				return err
			}
		}
		if err := raiseSealed(t, signer, trusted); err != nil {
			return err
		}
		w.signing = signing{signer: signer, trusted: trusted, known: known, sealed: -1, grown: w.signing.grown}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("sign the audit log: %w", err)
	}
	return nil
}

// KeepAuditKeys keeps the public keys of a signer, signed by its newest key.
func (s *Store) KeepAuditKeys(ctx context.Context, signer audit.Signer) error {
	err := s.writer.submit(ctx, &op{durability: survivesPowerLoss, done: make(chan struct{}), run: func(t *tx) error {
		_, err := keepKeys(t, signer)
		return err
	}})
	if err != nil {
		return fmt.Errorf("keep the keys of the audit log: %w", err)
	}
	return nil
}

// keepKeys keeps the public keys of a signer, and has its newest key sign all of them
// that are trusted. It returns these.
func keepKeys(t *tx, signer audit.Signer) ([]audit.Key, error) {
	kept, err := t.auditKeys()
	if err != nil {
		return nil, err
	}
	trusted, err := audit.Trusted(signer, kept)
	if err != nil || len(trusted) == 0 {
		return nil, err
	}
	for i := range trusted {
		k := &trusted[i]
		if slices.ContainsFunc(kept, func(former audit.Key) bool {
			return former.ID == k.ID && former.By == trusted[0].ID && bytes.Equal(former.Public, k.Public) && former.Version == k.Version
		}) {
			continue
		}
		if err := k.Endorse(signer); err != nil {
			return nil, err
		}
		if _, err := t.exec(upsertAuditKey, k.ID, k.Version, k.Public, k.By, k.Signature); err != nil {
			return nil, err
		}
	}
	return trusted, nil
}

// signAll signs the chains that have no head yet.
func signAll(t *tx, signer audit.Signer) error {
	var tenants []string
	err := t.rows(selectAuditTenants, nil, func(row scanner) error {
		var tenant string
		err := row.Scan(&tenant)
		tenants = append(tenants, tenant)
		return err
	})
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		h := audit.Head{Tenant: tenant}
		if _, err := t.signedHead(tenant); !errors.Is(err, store.ErrNotFound) {
			continue // it is there, valid or not
		}
		if h.Anchor, err = t.auditHead(tenant); err != nil {
			return err
		}
		if err := t.writeHead(h, signer); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) auditKeys() (keys []audit.Key, err error) {
	err = t.rows(selectAuditKeys, nil, scanKeys(&keys))
	return keys, err
}

func scanKeys(into *[]audit.Key) func(scanner) error {
	return func(row scanner) error {
		var k audit.Key
		err := row.Scan(&k.ID, &k.Version, &k.Public, &k.By, &k.Signature)
		k.Public, k.Signature = bytes.Clone(k.Public), bytes.Clone(k.Signature)
		*into = append(*into, k)
		return err
	}
}

func headInto(h *audit.Head) []any {
	return []any{&h.Tenant, &h.Number, &h.Hash, &h.Start.Number, &h.Start.Hash, &h.Broken, &h.Sealed, &h.Key, &h.Signature}
}

func (t *tx) signedHead(tenant string) (h audit.Head, err error) {
	err = t.row(selectSignedHead, []any{tenant}, headInto(&h)...)
	return h, err
}

// auditHead is the last entry of a chain; the zero value if it has none.
func (t *tx) auditHead(tenant string) (a audit.Anchor, err error) {
	err = t.row(selectAuditHead, []any{tenant}, &a.Number, &a.Hash)
	if errors.Is(err, store.ErrNotFound) {
		return audit.Anchor{}, nil
	}
	return a, err
}

func (t *tx) writeHead(h audit.Head, signer audit.Signer) error {
	if err := h.Sign(signer); err != nil {
		return err
	}
	return t.later(upsertHead, h.Tenant, h.Number, h.Hash, h.Start.Number, h.Start.Hash, h.Broken, h.Sealed, h.Key, h.Signature)
}

// signHeads signs the chains that the current transaction has added to, and the sealed
// values if they may have changed.
func (w *writer) signHeads(steady bool) error {
	switch {
	case w.signing.signer == nil && !steady:
		return w.session.holdSealed()
	case w.signing.signer == nil || len(w.signing.grown) == 0 && steady:
		return nil
	}
	t, changes := &tx{w: w}, w.signing.sealed
	if !steady || changes < 0 {
		var err error
		if changes, err = w.signSealed(t); err != nil {
			return err
		}
		w.signing.sealed = changes
	}
	for _, g := range w.signing.grown {
		if err := t.surely(g); err != nil {
			return err
		}
		if g.last == g.before {
			continue // the operation was undone
		}
		g.head.Anchor, g.head.Sealed, g.signed = g.last, max(changes, g.head.Sealed), true
		if err := t.writeHead(g.head, w.signing.signer); err != nil {
			return err
		}
	}
	return nil
}

// headsCommitted notes the heads of a transaction that was committed, or forgets them.
func (w *writer) headsCommitted(committed bool) {
	if !committed {
		w.signing.sealed = -1
	}
	for tenant, g := range w.signing.grown {
		delete(w.signing.written, tenant)
		if committed && g.signed && w.signing.known != nil {
			w.signing.known[tenant] = g.head.Anchor
			if w.signing.written == nil {
				w.signing.written = map[string]audit.Head{}
			}
			w.signing.written[tenant] = g.head
		}
	}
	clear(w.signing.grown)
	w.signing.checked = false
}

// SignedHead implements [audit.Store].
func (a auditStore) SignedHead(ctx context.Context, tenant string) (h audit.Head, err error) {
	err = a.s.readOne(ctx, selectSignedHead, []any{tenant}, headInto(&h)...)
	h.Signature = bytes.Clone(h.Signature)
	if errors.Is(err, store.ErrNotFound) {
		return audit.Head{}, nil
	}
	if err != nil {
		return h, fmt.Errorf("read the audit log: %w", err)
	}
	return h, nil
}

// Heads implements [audit.Store].
func (a auditStore) Heads(ctx context.Context) (heads []audit.Head, err error) {
	if err := a.s.read(ctx, selectSignedHeads, nil, scanHeads(&heads)); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return heads, nil
}

func scanHeads(into *[]audit.Head) func(scanner) error {
	return func(row scanner) error {
		var h audit.Head
		err := row.Scan(headInto(&h)...)
		h.Signature = bytes.Clone(h.Signature)
		*into = append(*into, h)
		return err
	}
}

// Tenants implements [audit.Store].
func (a auditStore) Tenants(ctx context.Context) (tenants []string, err error) {
	err = a.s.read(ctx, selectAuditTenants, nil, func(row scanner) error {
		var tenant string
		err := row.Scan(&tenant)
		tenants = append(tenants, tenant)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return tenants, nil
}

// Keys implements [audit.Store].
func (a auditStore) Keys(ctx context.Context) (keys []audit.Key, err error) {
	if err := a.s.read(ctx, selectAuditKeys, nil, scanKeys(&keys)); err != nil {
		return nil, fmt.Errorf("read the keys of the audit log: %w", err)
	}
	return keys, nil
}

// Anchor implements [audit.Store]. What it returns survives a loss of power.
func (a auditStore) Anchor(ctx context.Context) (due []audit.Head, err error) {
	var none bool
	if err := a.s.readOne(ctx, selectAnyDueHead, nil, &none); err != nil || none {
		return nil, err
	}
	err = a.s.writer.submit(ctx, &op{durability: survivesPowerLoss, done: make(chan struct{}), run: func(t *tx) error {
		due, t.steady = nil, true
		if err := t.rows(selectDueHeads, nil, scanHeads(&due)); err != nil {
			return err
		}
		for _, h := range due {
			if _, err := t.exec(updateAnchored, h.Number, h.Tenant); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("find the heads of the audit log: %w", err)
	}
	return due, nil
}
