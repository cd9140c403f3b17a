package e2e

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkDelay measures how long a part takes from the publisher's socket to
// a viewer's knowledge of it, on a quiet server with two streams, one of them
// with B-frames.
func BenchmarkDelay(b *testing.B) {
	s := startServer(b)
	kinds := []struct {
		name    string
		footage func() (*footage, error)
	}{
		{"without B-frames", plainFootage},
		{"with two B-frames between the others", reorderedFootage},
	}
	var publishers []*replay
	var probes []*delayProbe
	for _, k := range kinds {
		c := s.newChannel()
		publishers = append(publishers, startReplay(b, c.rtmp(), k.footage))
		probes = append(probes, startDelayProbe(b, c))
	}
	time.Sleep(settle + benchTime())
	table := "| part delay, from the sending of | the part's last frame: p50 ms | p95 ms | the frame after it: p50 ms | p95 ms |\n|---|--:|--:|--:|--:|\n"
	for i, k := range kinds {
		d := probes[i].stop(publishers[i])
		publishers[i].check(b)
		if len(d.next) == 0 {
			b.Fatalf("no part of the stream %s", k.name)
		}
		table += fmt.Sprintf("| %s | %.0f | %.0f | %.0f | %.0f |\n", k.name, d.last.at(.5), d.last.at(.95), d.next.at(.5), d.next.at(.95))
	}
	fmt.Printf("\n%s\nTo the last byte of the playlist that lists the part, asked for by a blocking reload. Frames are %.0f ms apart.\n\n", table, 1000./replayRate)
}
