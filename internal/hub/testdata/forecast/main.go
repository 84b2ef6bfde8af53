// Command forecast is a service with a log, a nested result and failures, for pictures.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// Input has a field for each parameter of the service.
type Input struct {
	Data Data `json:"data"`
	// Token opens the weather API.
	Token secret.Value `json:"api_token"`
}

// Data says what to forecast.
type Data struct {
	Place string `json:"place"`
	Days  int    `json:"days" default:"3"`
}

// Day is the forecast of a day.
type Day struct {
	Day     int     `json:"day"`
	High    float64 `json:"high"`
	Low     float64 `json:"low"`
	Outlook string  `json:"outlook"`
}

func run(ctx context.Context, in Input) (map[string]any, error) {
	token, err := in.Token.Unwrap()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	log.Info("asking the weather API", "place", in.Data.Place, "authorization", "Bearer "+string(token))
	if in.Data.Days > 10 {
		return nil, fmt.Errorf("the weather API forecasts 10 days at most, not %d", in.Data.Days)
	}
	var days []Day
	for i := range in.Data.Days {
		days = append(days, Day{i + 1, 18.5 + float64(i*3%7), 9 + float64(i*5%4), []string{"sunny", "cloudy", "rain"}[i%3]})
		log.Info("read a day", "day", i+1, "outlook", days[i].Outlook)
		if days[i].Outlook == "rain" {
			log.Warn("rain is expected", "day", i+1)
		}
		select {
		case <-time.After(time.Duration(in.Data.Days*7) * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	text, err := json.Marshal(days)
	if err != nil {
		return nil, err
	}
	if err := service.Output(ctx).WriteFile("days.json", text); err != nil {
		return nil, err
	}
	return map[string]any{"place": in.Data.Place, "days": days}, nil
}

func main() { service.Main(run) }
