package e2e

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStart measures how long the first viewers of a stream wait for it,
// and how long any later one waits for a picture.
func BenchmarkStart(b *testing.B) {
	const times = 5
	s := startServer(b)
	var sent, connected, shown series
	var live *channel
	for range times {
		live = s.newChannel()
		p := startReplay(b, live.rtmp(), plainFootage)
		listed := benchFirstPart(b, live)
		key, _ := p.sent(0)
		sent.add(listed.Sub(key).Seconds() * 1000)
		connected.add(listed.Sub(p.began).Seconds() * 1000)
		if len(sent) < times {
			p.stop()
		}
	}
	time.Sleep(settle)
	shown = watchGlass(b, "http://"+s.at.HTTP+"/watch/"+live.id(), times, 0, 0).Firsts

	table := "| start | p50 ms | most ms |\n|---|--:|--:|\n"
	for _, row := range []struct {
		name string
		s    series
	}{
		{"from the sending of the first key frame to a playlist with a part", sent},
		{"from the publisher's TCP connection to that", connected},
		{"from opening the watch page of a running stream to a picture, hls.js in Chromium", shown},
	} {
		table += fmt.Sprintf("| %s | %.0f | %.0f |\n", row.name, row.s.at(.5), row.s.at(1))
	}
	fmt.Printf("\n%s\nOf %d times, with key frames every %d s.\n\n", table, times, replayGOP/replayRate)
}

// benchFirstPart waits until the multivariant playlist leads to a part.
func benchFirstPart(b *testing.B, c *channel) time.Time {
	b.Helper()
	a := c.newAudience()
	client, err := dialLoad(a.host)
	if err != nil {
		b.Fatal(err)
	}
	defer client.close()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 15*time.Second; <-tick.C {
		path, text, err := a.tuneIn(client)
		if err == nil {
			_, err = readParts(text, path)
		}
		if err == nil {
			return time.Now()
		}
	}
	b.Fatal("the stream cannot be played")
	return time.Time{}
}
