// Package metrics counts the work of a server, and serves the numbers in the
// text format of Prometheus.
//
// No number tells one execution from another. Labels are states, causes and
// versions, whose number is bounded, and never a part of a request. The only
// free text is the reason why a service cannot be forked, which is about its code.
//
// Frequent events are counted as they happen, by a counter or a histogram
// without an allocation. Numbers that other packages keep are read for each page.
package metrics
