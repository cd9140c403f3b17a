package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A server that is killed, and started again: publishers come back by
// themselves, and each has one recording, in as many pieces as it was there. Of
// each piece its end is missing, no more than what was being made.
//
// KILLS says how often it is killed; SEED when.
func TestStageRecordingKill(t *testing.T) {
	t.Parallel()
	kills, err := strconv.Atoi(os.Getenv("KILLS"))
	if err != nil {
		kills = 2
	}
	seed, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64N(1e6)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := startServer(t)
	r := s.newRecordedRoom(settings{
		"recordingReconnectWindowSeconds": 20,
		"thumbnailConfiguration":          settings{"recordingMode": "INTERVAL", "targetIntervalSeconds": 2},
	})
	all := r.guests(3)
	stays := make([][]*outgoing, len(all))
	come := func() {
		for i, g := range all {
			stays[i] = append(stays[i], g.publish(beats))
		}
	}
	come()
	for range kills {
		stay := 3*time.Second + time.Duration(random.IntN(3000))*time.Millisecond
		for i := range all {
			stays[i][len(stays[i])-1].waitSent(stay)
		}
		s.kill()
		for i := range all {
			out := stays[i][len(stays[i])-1]
			out.stop()
			out.close()
		}
		checkTakesStored(t, s, all)
		s.start()
		come()
	}
	for i := range all {
		out := stays[i][len(stays[i])-1]
		out.waitSent(4 * time.Second)
		out.hangUp()
		out.stop()
	}
	for i, g := range all {
		one := g.waitTakes(1)[0]
		pieces := one.stretches(t, one.check(t))
		if len(pieces) != len(stays[i]) {
			t.Errorf("%s is in %d pieces, its participant was there %d times", one.prefix, len(pieces), len(stays[i]))
			continue
		}
		for n, out := range stays[i] {
			lost := pieces[n].endsBefore(out)
			now := pieces[n].rhythm()
			t.Logf("%s, piece %d: %v; its last %v are lost", g.id, n, now, lost)
			now.inStep(t, 1)
			if now.missing > 0 {
				t.Errorf("piece %d of %s: %v", n, one.prefix, now)
			}
			if n < kills && lost > time.Second {
				t.Errorf("piece %d of %s has lost %v", n, one.prefix, lost)
			}
		}
	}
	s.stop()
	checkTakesTold(t, s)
}

// endsBefore is by how much a stretch ends before what a publisher sent.
func (s *stretch) endsBefore(out *outgoing) time.Duration {
	sent, got := out.shots(), s.fresh()
	if len(got) == 0 {
		return time.Duration(len(sent)) * time.Second / tapeRate
	}
	last, at := got[len(got)-1], s.at.Add(duration(got[len(got)-1].at))
	for k := len(sent) - 1; k >= 0; k-- {
		if k%tapePictures == last.number%shotNumbers && at.Sub(sent[k]).Abs() < tapeLasts/2 {
			return time.Duration(len(sent)-1-k) * time.Second / tapeRate
		}
	}
	return time.Duration(len(sent)) * time.Second / tapeRate
}

// checkTakesStored checks that what a killed server left can be played: all that
// playlists name is there.
func checkTakesStored(t *testing.T, s *server, all []*guest) {
	t.Helper()
	for _, g := range all {
		for _, one := range g.takes() {
			text, err := os.ReadFile(filepath.Join(one.dir, "media", "hls", "high", "playlist.m3u8"))
			if err != nil {
				continue // nothing is stored yet
			}
			p := one.mediaPlaylist(t, "media/hls/high/playlist.m3u8")
			if p.Ended {
				t.Errorf("%s has ended:\n%s", one.prefix, text)
			}
			for _, segment := range p.Segments {
				for _, name := range []string{segment.URI, segment.Init} {
					if info, err := os.Stat(filepath.Join(one.dir, "media", "hls", "high", name)); err != nil || info.Size() == 0 {
						t.Errorf("%s names %s, which is not there: %v", one.prefix, name, err)
					}
				}
			}
		}
	}
}

// Twelve publishers at once are each recorded whole. Nothing else runs meanwhile.
func TestStageRecordingTwelve(t *testing.T) {
	s := startServer(t)
	r := s.newRecordedRoom(nil)
	all, err := publishAll(beats, r.guests(12))
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range all {
		out.waitSent(8 * time.Second)
	}
	for _, out := range all {
		out.hangUp()
		out.stop()
	}
	for i, out := range all {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			out.guest.t, out.t = t, t
			out.guest.waitTakes(1)[0].whole(t, out)
		})
	}
}
