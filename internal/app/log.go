package app

import (
	"io"
	"log/slog"
)

// newLogger makes the server's logger. Format and level are valid.
func newLogger(w io.Writer, format, level string) *slog.Logger {
	options := new(slog.HandlerOptions)
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err == nil {
		options.Level = least
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
