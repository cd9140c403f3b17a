package packager_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"anabranch/internal/packager"
)

// A playlist tells where its sisters stand when it is rendered.
func TestRenditionReports(t *testing.T) {
	for _, tt := range []struct {
		name    string
		noParts bool // of the sister
		then    func(*source, *packager.Window)
		want    string
	}{
		{"empty", false, func(*source, *packager.Window) {}, ""},
		{"first part", false, func(s *source, _ *packager.Window) { s.segment(-1) }, ",LAST-MSN=946684800000,LAST-PART=0\n"},
		{"within a segment", false, func(s *source, _ *packager.Window) { s.segment(3); s.segment(-2) }, ",LAST-MSN=946684800001,LAST-PART=1\n"},
		{"between segments", false, func(s *source, _ *packager.Window) { s.segment(3) }, ",LAST-MSN=946684800000,LAST-PART=2\n"},
		{"publisher gone", false, func(s *source, w *packager.Window) { s.segment(-2); w.Interrupt() }, ",LAST-MSN=946684800000,LAST-PART=1\n"},
		{"ended", false, func(s *source, w *packager.Window) { s.segment(-2); w.End() }, ",LAST-MSN=946684800000,LAST-PART=1\n"},
		{"closed", false, func(s *source, w *packager.Window) { s.segment(-2); w.Close() }, ""},
		{"no whole segment and no parts", true, func(s *source, _ *packager.Window) { s.segment(-2) }, ""},
		{"no parts", true, func(s *source, _ *packager.Window) { s.segment(2); s.segment(-2) }, ",LAST-MSN=946684800000\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, sister := open(t, packager.WindowConfig{Dir: t.TempDir()}), open(t, packager.WindowConfig{Dir: t.TempDir(), NoParts: tt.noParts})
				for range 30 {
					newSource(t, w).segment(4)
				}
				w.SetSisters([]packager.Sister{{URI: "../360p/playlist.m3u8", Window: sister}})
				tt.then(newSource(t, sister), sister)
				want := tt.want
				if want != "" {
					want = `#EXT-X-RENDITION-REPORT:URI="../360p/playlist.m3u8"` + want
				}
				for _, skip := range []bool{false, true} {
					text, err := w.Playlist(t.Context(), packager.PlaylistRequest{MSN: -1, Skip: skip})
					if err != nil || skip != strings.Contains(string(text), "#EXT-X-SKIP") {
						t.Fatalf("skip %v: %v %s", skip, err, text)
					}
					if _, got, _ := strings.Cut(string(text), `.0.m4s"`+"\n#EXT-X-REN"); "#EXT-X-REN"+got != want && want+got != "" {
						t.Errorf("skip %v: ends in\n%s\nwant\n%s", skip, text[len(text)-300:], want)
					}
				}
				w.End()
				if strings.Contains(playlist(t, w), "RENDITION-REPORT") {
					t.Error("an ended playlist reports")
				}
			})
		})
	}
}

// Sisters report on each other while both grow, never on what is not there yet.
func TestSistersAtOnce(t *testing.T) {
	a, b := open(t, packager.WindowConfig{Dir: t.TempDir()}), open(t, packager.WindowConfig{Dir: t.TempDir()})
	a.SetSisters([]packager.Sister{{URI: "b", Window: b}})
	b.SetSisters([]packager.Sister{{URI: "a", Window: a}})
	sources := []*source{newSource(t, a), newSource(t, b)}
	for _, s := range sources {
		s.segment(3)
	}
	past, cancel := context.WithCancel(t.Context())
	cancel()
	// follow reads what w says of its sister.
	follow := func(w, sister *packager.Window) {
		_, report, _ := strings.Cut(playlist(t, w), ",LAST-MSN=")
		req := now
		if _, err := fmt.Sscanf(report, "%d,LAST-PART=%d\n", &req.MSN, &req.Part); err != nil {
			t.Errorf("report %q: %v", report, err)
		}
		if _, err := sister.Wait(past, req); err != nil {
			t.Errorf("part %d of segment %d is reported: %v", req.Part, req.MSN, err)
		}
	}
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	for _, s := range sources {
		writers.Go(func() {
			for range 60 {
				s.segment(3)
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			for !done.Load() {
				follow(a, b)
				follow(b, a)
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}
