package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkStageGlass measures how old a picture of a stage is when another
// participant sees it: from its drawing in one page of Chromium, through
// encoder, server and decoder, to its showing in another, all on one machine. It
// tells how the resolution grew, too.
func BenchmarkStageGlass(b *testing.B) {
	s := startServer(b)
	r := s.newRoom()
	lobby := startLobby(b)
	publisher, _ := lobby.enter(r.guest(called("clock")))
	publisher.do("clock", "token", publisher.guest.token)
	viewer, _ := lobby.enter(r.guest(called("viewer")))
	const settle = 10 // seconds
	var seen struct {
		Delays     []struct{ At, Seconds float64 }
		Unreadable int
		Heights    []struct{ At, Height float64 }
		Stats      struct{ Bitrate, Loss, Width, Height, FramesPerSecond float64 }
	}
	viewer.command(&seen, map[string]any{"do": "read", "page": viewer.number, "token": viewer.guest.token, "seconds": settle + benchTime().Seconds()})

	var glass series
	for _, d := range seen.Delays {
		if d.At >= settle {
			glass.add(d.Seconds)
		}
	}
	if len(glass) == 0 {
		b.Fatalf("no picture could be read: %+v", seen)
	}
	var grew []string
	for _, h := range seen.Heights {
		grew = append(grew, fmt.Sprintf("%.0fp at %.1f s", h.Height, h.At))
	}
	fmt.Printf("\n| glass to glass, a stage in Chromium | p50 ms | p95 ms | most ms |\n|---|--:|--:|--:|\n"+
		"| from the drawing of a picture to its showing | %.0f | %.0f | %.0f |\n\n"+
		"%d pictures read, %d unreadable; %.0f × %.0f, %.0f/s, %.2f Mbit/s, %.2f %% lost; seen as %s\n\n",
		1000*glass.at(.5), 1000*glass.at(.95), 1000*glass.at(1), len(glass), seen.Unreadable,
		seen.Stats.Width, seen.Stats.Height, seen.Stats.FramesPerSecond, seen.Stats.Bitrate/1e6, 100*seen.Stats.Loss, strings.Join(grew, ", "))
}
