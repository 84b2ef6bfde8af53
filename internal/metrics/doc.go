// Package metrics counts what a server does, and shows it in the text format
// of Prometheus.
//
// Nothing in it tells one execution from another: labels are states, causes
// and versions, whose number is bounded, and never what a request has brought.
// The one free text is why a service cannot be forked, which is about its code.
//
// What happens often is counted as it happens, by a counter or a histogram
// without an allocation; what others count themselves is asked for when the
// numbers are read.
package metrics
