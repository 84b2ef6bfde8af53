//go:build unix && !linux

package main

import "errors"

func attack(input) (map[string]any, error) { return nil, errors.New("no such action") }
