package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// BenchmarkGlass measures how old a picture is when a viewer sees it: from its
// making, before the encoder, to its showing by hls.js on the watch page in
// Chromium, all on one machine. Where the stream is transcoded its parts wait for
// the other renditions.
func BenchmarkGlass(b *testing.B) {
	b.Run("BASIC", func(b *testing.B) { benchGlass(b, startServer(b), types.ChannelTypeBasicChannelType) })
	b.Run("STANDARD", func(b *testing.B) {
		benchGlass(b, startServer(b, "--transcode-capacity", "1"), types.ChannelTypeStandardChannelType)
	})
}

func benchGlass(b *testing.B, s *server, kind types.ChannelType) {
	b.Helper()
	c := s.newChannel(of(kind, ""))
	stop := publishClock(b, c.rtmp())
	defer stop()
	c.waitPlayable()
	seen := watchGlass(b, "http://"+s.at.HTTP+"/watch/"+c.id(), 1, 5*time.Second, benchTime())

	var glass, date, position, ahead series
	for _, f := range seen.Samples {
		glass.add(float64(f.Glass) / 1000)
		ahead.add(f.Ahead)
		if f.Date != nil {
			date.add(*f.Date)
		}
		if f.Position != nil {
			position.add(*f.Position)
		}
	}
	if len(glass) == 0 {
		b.Fatalf("no picture could be read: %+v", seen)
	}
	table := "| glass to glass, " + string(kind) + ", hls.js in Chromium | p50 s | p95 s | most s |\n|---|--:|--:|--:|\n"
	for _, row := range []struct {
		name string
		s    series
	}{
		{"from the making of a picture to its showing", glass},
		{"the player's latency by EXT-X-PROGRAM-DATE-TIME", date},
		{"the player's distance from the playlist's end", position},
		{"media in the player's buffer", ahead},
	} {
		table += fmt.Sprintf("| %s | %.2f | %.2f | %.2f |\n", row.name, row.s.at(.5), row.s.at(.95), row.s.at(1))
	}
	fmt.Printf("\n%s\n%d pictures read, %d unreadable, %d dropped, %d stalls; part target %s, target latency %s. %s\n\n",
		table, len(glass), seen.Unreadable, seen.Dropped, seen.Stalls, seconds(seen.PartTarget), seconds(seen.Target), strings.Join(seen.Errors, ", "))
}

func seconds(s *float64) string {
	if s == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.3f s", *s)
}
