package hub

import "github.com/qhubctl/qhubctl/internal/platformapi"

// Catalog is the base path of the platform API.
const Catalog = catalog

// Routes are those that a hub registers.
func Routes() []platformapi.Route {
	api := platformapi.New(platformapi.Options{})
	(&Hub{}).register(api)
	return api.Routes()
}
