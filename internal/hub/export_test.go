package hub

import (
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/auditapi"
	"github.com/qhubctl/qhubctl/internal/datapoolapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/secretsapi"
)

// Catalog is the base path of the platform API.
const Catalog = catalog

// Routes are those that a hub registers.
func Routes() []platformapi.Route {
	api := platformapi.New(platformapi.Options{})
	(&Hub{}).register(api)
	return api.Routes()
}

// Description is an API with all routes of a platform, which cannot be called.
func Description() *platformapi.API {
	api := platformapi.New(platformapi.Options{Version: "1.2.3"})
	(&Hub{}).register(api)
	accessapi.Register(api, accessapi.Options{})
	datapoolapi.Register(api, nil)
	secretsapi.Register(api, nil)
	auditapi.Register(api, auditapi.Options{})
	return api
}
