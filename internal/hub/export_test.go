package hub

import "github.com/qhubctl/qhubctl/internal/access"

// Catalog is the base path of the platform API.
const Catalog = catalog

// Operations are the patterns of the platform API, and the right that each needs.
func Operations() map[string]access.Right {
	rights := map[string]access.Right{}
	for _, o := range (&Hub{}).operations() {
		rights[o.pattern] = o.right
	}
	return rights
}
