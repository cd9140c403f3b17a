package e2e

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkStills measures what thumbnails cost, at one a second: a process each,
// which most of all has to start. A recording with the default interval has one a
// minute.
func BenchmarkStills(b *testing.B) {
	d := benchTime()
	table := "| thumbnails of | CPU s per thumbnail | wall ms per thumbnail | made | not made in time | CPU s of the server per stream-minute | without |\n|---|--:|--:|--:|--:|--:|--:|\n"
	for _, size := range []struct {
		name    string
		footage func() (*footage, error)
	}{
		{"720p30, 2.5 Mbit/s", plainFootage},
		{"1080p30, 6 Mbit/s", func() (*footage, error) {
			return encodeFootage("-tune", "zerolatency", "-s", "1920x1080", "-b:v", "6000k", "-minrate", "6000k", "-maxrate", "6000k", "-bufsize", "6000k")
		}},
	} {
		without, _ := benchStills(b, size.footage, 0, d)
		with, of := benchStills(b, size.footage, time.Second, d)
		made := of["anabranch_still_seconds_count"]
		table += fmt.Sprintf("| %s | %.3f | %.0f | %.0f | %.0f | %.2f | %.2f |\n", size.name,
			of["anabranch_still_cpu_seconds_total"]/made, 1000*of["anabranch_still_seconds_sum"]/made, made,
			of["anabranch_stills_replaced_total"]+of["anabranch_stills_failed_total"]+of["anabranch_stills_refused_total"],
			with.cpu.Seconds()/with.took.Minutes(), without.cpu.Seconds()/without.took.Minutes())
	}
	fmt.Printf("\n%s\nKey frames come every two seconds, and so do the thumbnails here.\n\n", table)
}

// benchStills is what a recorded stream took of the server, without the processes
// that make its thumbnails, and what these are counted as.
func benchStills(b *testing.B, encoded func() (*footage, error), interval, d time.Duration) (u usage, counted map[string]float64) {
	b.Helper()
	s := startServer(b)
	arn := s.newRecordingConfiguration(0)
	if interval > 0 {
		arn = s.newRecordingConfiguration(0, thumbnails(interval))
	}
	publisher := startReplay(b, s.newChannel(recordTo(arn)).rtmp(), encoded)
	time.Sleep(settle)
	u = measure(b, d, s.pid())
	counted = s.metrics()
	publisher.check(b)
	publisher.stop()
	s.stop()
	return u, counted
}
