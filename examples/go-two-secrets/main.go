// A service with two secrets and a data pool beside its input.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// InputData is what a caller sends as data.
type InputData struct {
	_ struct{} "description:\"What a caller sends as `data`.\""

	FetchWeather bool   `json:"fetch_weather" description:"Whether to ask for the weather."`
	FetchStocks  bool   `json:"fetch_stocks" description:"Whether to ask for the stocks."`
	ModelName    string "json:\"model_name\" description:\"A file of the data pool `models`.\""
}

// Input has a field for each parameter of the service.
type Input struct {
	_ struct{} `description:"Signs the requests to two APIs, each with its own key, and weighs them by a model from a data pool."`

	Data          InputData     `json:"data"`
	WeatherAPIKey secret.Value  `json:"weather_api_key"`
	StockAPIKey   secret.Value  `json:"stock_api_key"`
	Models        datapool.Pool `json:"models"`
}

type model struct {
	Intercept float64
	Weights   map[string]float64
}

func run(_ context.Context, in Input) (map[string]any, error) {
	m, err := load(in.Models, in.Data.ModelName)
	if err != nil {
		return nil, err
	}
	signatures := map[string]string{}
	if in.Data.FetchWeather {
		if signatures["weather"], err = sign("GET /weather/today", in.WeatherAPIKey); err != nil {
			return nil, err
		}
	}
	if in.Data.FetchStocks {
		if signatures["stocks"], err = sign("GET /stocks/today", in.StockAPIKey); err != nil {
			return nil, err
		}
	}
	estimate := m.Intercept
	for name := range signatures {
		estimate += m.Weights[name]
	}
	return map[string]any{"model": in.Data.ModelName, "signatures": signatures, "estimate": estimate}, nil
}

// load takes the name as it comes: nothing leads out of a pool.
func load(pool datapool.Pool, name string) (model, error) {
	var m model
	text, err := pool.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		names, err := pool.List()
		return m, errors.Join(fmt.Errorf("there is no model %s; there are: %s", name, strings.Join(names, ", ")), err)
	}
	if err != nil {
		return m, err
	}
	err = json.Unmarshal(text, &m)
	return m, err
}

// sign is what an API would check: here nothing is sent anywhere.
func sign(request string, key secret.Value) (string, error) {
	plain, err := key.Unwrap()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, []byte(plain))
	mac.Write([]byte(request))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func main() { service.Main(run) }
