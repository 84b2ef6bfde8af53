package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

func call(t *testing.T, data InputData) (map[string]any, error) {
	t.Helper()
	models, err := datapool.Open(filepath.Join("input", "models"))
	if err != nil {
		t.Fatal(err)
	}
	return run(t.Context(), Input{
		Data: data, WeatherAPIKey: secret.New("weather-key"), StockAPIKey: secret.New("stock-key"), Models: models,
	})
}

func TestSignsEachRequestWithItsOwnKey(t *testing.T) {
	result, err := call(t, InputData{FetchWeather: true, FetchStocks: true, ModelName: "demand.json"})
	if err != nil {
		t.Fatal(err)
	}
	signatures := result["signatures"].(map[string]string)
	if len(signatures) != 2 || signatures["weather"] == signatures["stocks"] {
		t.Errorf("signatures = %v, want two different ones", signatures)
	}
}

func TestLeavesOutWhatIsNotAskedFor(t *testing.T) {
	result, err := call(t, InputData{FetchWeather: true, ModelName: "demand.json"})
	if err != nil {
		t.Fatal(err)
	}
	if signatures := result["signatures"].(map[string]string); len(signatures) != 1 || signatures["weather"] == "" {
		t.Errorf("signatures = %v, want that of the weather alone", signatures)
	}
	if result["estimate"] != 15.5 {
		t.Errorf("the estimate is %v, want 15.5", result["estimate"])
	}
}

func TestSaysWhichModelsThereAre(t *testing.T) {
	_, err := call(t, InputData{ModelName: "absent.json"})
	if err == nil || !strings.Contains(err.Error(), "demand.json") {
		t.Errorf("call(an absent model) = %v, want an error that names demand.json", err)
	}
}

func TestNoNameLeadsOutOfThePool(t *testing.T) {
	if result, err := call(t, InputData{ModelName: "../data.json"}); err == nil {
		t.Errorf("call(../data.json) = %v, want an error", result)
	}
}
