package hub

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/console"
)

// health is the state of the server, for the console.
func (h *Hub) health(ctx context.Context) (console.Health, error) {
	load, err := h.Server.Engine().QueueStats(ctx)
	if err != nil {
		return console.Health{}, err
	}
	state := console.Health{
		Pending: load.Pending, Running: load.Active, Slots: h.Server.Slots(), Services: len(load.Services), Zygotes: h.Server.Zygotes().Zygotes(), Started: h.started,
	}
	state.DiskFree, state.DiskSize = diskOf(h.Dir)
	if h.Server.Machine().Confines() {
		for _, layer := range h.Server.Machine().Layers() {
			if layer.Held {
				state.Sandbox = append(state.Sandbox, layer.Name+": "+layer.Says)
			} else {
				state.Missing = append(state.Missing, layer.Name+": "+layer.Says)
			}
		}
	}
	return state, nil
}
