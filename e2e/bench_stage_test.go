package e2e

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// stageFilm is what the audience of a stage is sent when that is measured:
// 1.5 Mbit/s of pictures, with sound.
var stageFilm = scene{width: 1280, height: 720, bitrate: 1_500_000}

// BenchmarkStage measures what subscribers of one publisher cost, beside the
// least that pion needs to forward the same packets. The subscribers' own work
// is another process's: this one's, on the same processors.
//
// A subscriber is whole when every packet came, at the latest when it had asked
// for it again.
func BenchmarkStage(b *testing.B) {
	d := benchTime() / 2
	table := "| 720p30 at 1.5 Mbit/s and sound | subscribers | whole | CPU s per Gbit | CPU ms per 1,000 packets | mcore per subscriber | resident MiB per subscriber | delay p50 ms | p95 ms | beside pion | cores of the subscribers |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
	counts := []int{50, 200}
	if d < 10*time.Second {
		counts = []int{50}
	}
	for _, n := range counts {
		plain := benchForwarding(b, startFanout(b), n, d)
		ours := benchForwarding(b, startServer(b, "--log-level", "info"), n, d)
		table += ours.row("anabranch", plain) + plain.row("pion, fan-out", plain)
	}
	fmt.Printf("\n%s\nOn %d processors, shared with the subscribers. Aims, of another server's 4.5 mcore and 1.7 MiB at 1.4 Mbit/s: 3.15 and 1.19.\n\n", table, runtime.NumCPU())
}

// forwarding is what forwarding took.
type forwarding struct {
	usage
	subscribers, whole int
	packets, bits      float64 // that the subscribers got
	resident           float64 // MiB more than without them
	delays             series  // ms
	generator          time.Duration
}

func (f *forwarding) perGbit() float64 { return f.cpu.Seconds() / (f.bits / 1e9) }

func (f *forwarding) row(name string, beside *forwarding) string {
	n := float64(f.subscribers)
	return fmt.Sprintf("| %s | %d | %d | %.2f | %.2f | %.2f | %.2f | %.1f | %.1f | × %.2f | %.2f |\n", name, f.subscribers, f.whole, f.perGbit(),
		f.cpu.Seconds()*1e6/f.packets, f.cpu.Seconds()/f.took.Seconds()*1000/n, f.resident/n, f.delays.at(.5), f.delays.at(.95),
		f.perGbit()/beside.perGbit(), f.generator.Seconds()/f.took.Seconds())
}

func benchForwarding(b *testing.B, s *server, subscribers int, d time.Duration) *forwarding {
	b.Helper()
	publisher, audience := benchGuests(s, subscribers)
	g, err := assemble(stageFilm, 1, publisher, nil, peerOptions{lean: true})
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(settle)
	alone := resident(b, s.pid())
	defer g.end()
	if err := g.admit(audience, peerOptions{lean: true}); err != nil {
		b.Fatal(err)
	}
	time.Sleep(settle)
	f := &forwarding{subscribers: subscribers}
	generator, began := cpuTime(b, os.Getpid()), time.Now()
	measuring := func() { f.usage = measure(b, d, s.pid()) }
	if s.dir != "" {
		s.profiled(fmt.Sprintf("stage-%d", subscribers), d, measuring)
	} else {
		measuring()
	}
	ended := time.Now()
	f.generator = cpuTime(b, os.Getpid()) - generator
	f.resident = f.usage.resident - alone
	for _, out := range g.out {
		out.stop()
	}
	time.Sleep(time.Second)
	for _, in := range g.in {
		missing := 0
		for _, kind := range []string{"video", "audio"} {
			in.since(began)
			delivered, err := in.compare(kind, g.out[0].layers...)
			if err != nil {
				b.Error(err)
			}
			missing += delivered.missing
			f.delays = append(f.delays, delivered.delays...)
			for _, p := range in.list(kind) {
				if p.at.After(began) && p.at.Before(ended) {
					f.packets++
					f.bits += float64(p.size+12) * 8 // with the header of RTP
				}
			}
		}
		if missing == 0 {
			f.whole++
		}
	}
	return f
}

// since forgets what came before a time.
func (in *incoming) since(began time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, track := range in.tracks {
		for len(track.packets) > 0 && track.packets[0].at.Before(began) {
			track.packets = track.packets[1:]
		}
	}
}

// benchGuests are a publisher and its audience, in a stage or at a fan-out,
// which asks for no token.
func benchGuests(s *server, subscribers int) (publisher, audience []*guest) {
	s.t.Helper()
	if s.dir != "" {
		r := s.newRoom()
		return r.guests(1), r.guests(subscribers)
	}
	r := &room{server: s}
	for range subscribers {
		audience = append(audience, &guest{r, s.t, "token", "subscriber"})
	}
	return []*guest{{r, s.t, "token", "publisher"}}, audience
}
