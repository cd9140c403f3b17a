package transcode

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name, ffmpeg, encoder string
		want                  string // empty: it works
	}{
		{"it works", "ffmpeg", "libx264:ultrafast", ""},
		{"no program", "no-such-ffmpeg", "libx264", "no-such-ffmpeg"},
		{"no such encoder", "ffmpeg", "h264_none", "h264_none"},
		{"no such preset", "ffmpeg", "libx264:hasty", "hasty"},
		{"not H.264", "ffmpeg", "mjpeg", "mjpeg"},
		{"it does nothing", script("nothing", "cat >/dev/null"), "libx264", "no picture"},
		{"it fails", script("fails", "cat >/dev/null; echo cannot >&2; exit 3"), "libx264", "cannot"},
		{"it writes something else", script("other", "cat >/dev/null; echo '#EXTM3U and so on' >&3; sleep 9"), "libx264", "no FLV stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := New(Config{FFmpeg: tt.ffmpeg, Encoder: tt.encoder, Capacity: 2, Log: slog.New(slog.DiscardHandler)})
			err := tr.Check(context.Background())
			_, ok := tr.Acquire()
			switch {
			case tt.want == "" && (err != nil || !ok):
				t.Errorf("%v; a place is free: %v", err, ok)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want it to tell %q", err, tt.want)
			case tt.want != "" && ok:
				t.Error("there is a place all the same")
			}
		})
	}
}

func TestCapacity(t *testing.T) {
	tr := New(Config{Capacity: 2})
	one, ok1 := tr.Acquire()
	_, ok2 := tr.Acquire()
	_, ok3 := tr.Acquire()
	if !ok1 || !ok2 || ok3 {
		t.Fatalf("of two places were free: %v, %v, %v", ok1, ok2, ok3)
	}
	one()
	one()
	if _, ok := tr.Acquire(); !ok {
		t.Error("a place that was given back is not free")
	}
	if _, ok := tr.Acquire(); ok {
		t.Error("a place that was given back twice is free twice")
	}
}
