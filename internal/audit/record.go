package audit

import (
	"bytes"
	"context"
	"maps"
	"sync"
)

// A Record is the entry of one request, which is written once.
type Record struct {
	mu      sync.Mutex
	entry   Entry
	written bool
}

// NewRecord makes a record of an entry without a number.
func NewRecord(e Entry) *Record { return &Record{entry: e} }

// Entry returns the entry, if it is still to be written.
func (r *Record) Entry() (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entry
	e.Details = maps.Clone(e.Details)
	return e, !r.written
}

// Written notes that a change with this entry is durable.
func (r *Record) Written() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written = true
}

type contextKey struct{}

// With returns a context in which changes write a record.
func With(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, contextKey{}, r)
}

// From returns the record of a context, or nil.
func From(ctx context.Context) *Record {
	r, _ := ctx.Value(contextKey{}).(*Record)
	return r
}

// In has the entry of a request stand in the chain of a tenant other than the one that
// the caller acts for.
func In(ctx context.Context, tenant string) {
	if r := From(ctx); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.entry.Tenant = tenant
	}
}

// Note adds a name or an id to the entry of a request. It has no effect in a context
// without a record.
func Note(ctx context.Context, name, value string) {
	r := From(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entry.Details == nil {
		r.entry.Details = map[string]string{}
	}
	const most = 200 // names are shorter
	r.entry.Details[name] = string(bytes.ToValidUTF8([]byte(value[:min(len(value), most)]), nil))
}

type usesKey struct{}

// WithUses returns a context in which the next write, durable or not, writes entries as
// well. If an entry cannot be written, the write fails.
func WithUses(ctx context.Context, entries ...Entry) context.Context {
	return context.WithValue(ctx, usesKey{}, entries)
}

// Uses are the entries of [WithUses].
func Uses(ctx context.Context) []Entry {
	entries, _ := ctx.Value(usesKey{}).([]Entry)
	return entries
}
