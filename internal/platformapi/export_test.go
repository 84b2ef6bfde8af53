package platformapi

import "time"

// SetBodyTime sets how long a body may take to arrive.
func (a *API) SetBodyTime(d time.Duration) { a.bodyTime = d }
