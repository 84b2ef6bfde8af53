package audit

// Failed is the outcome of an action that was tried, and has changed nothing but the note
// of it.
const Failed Outcome = "FAILED"
