package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what processes used while they were measured.
type usage struct {
	cpu      time.Duration // of all processors
	took     time.Duration
	resident float64 // MiB, on average
}

// measure lets processes go on for d and tells what they used.
func measure(b *testing.B, d time.Duration, pids ...int) usage {
	b.Helper()
	began, before := time.Now(), cpuTime(b, pids...)
	var memory series
	tick := time.NewTicker(min(d, time.Second))
	defer tick.Stop()
	for time.Since(began) < d {
		select {
		case <-tick.C:
		case <-b.Context().Done():
		}
		memory.add(resident(b, pids...))
	}
	return usage{cpu: cpuTime(b, pids...) - before, took: time.Since(began), resident: memory.mean()}
}

// profiled does what the server is to be measured at; with PROFILES set, it
// saves a CPU profile of that in the folder of that name. A profile costs a
// few hundredths more.
func (s *server) profiled(name string, d time.Duration, work func()) {
	dir := os.Getenv("PROFILES")
	if dir == "" {
		work()
		return
	}
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.at.Admin, max(1, int(d.Seconds()))))
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		profile, err := io.ReadAll(resp.Body)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".pprof"), profile, 0o600)
		}
		done <- err
	}()
	work()
	if err := <-done; err != nil {
		s.t.Errorf("profile: %v", err)
	}
}

// cpuTime is how long processes have been running on processors, those that have
// ended left out.
func cpuTime(b *testing.B, pids ...int) (sum time.Duration) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		// The name, in parentheses, may have spaces. utime and stime are fields 14
		// and 15, in hundredths of a second (proc(5)).
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, f := range fields[11:13] {
			ticks, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}

// resident is the memory of processes, in MiB, those that have ended left out.
func resident(b *testing.B, pids ...int) (sum float64) {
	b.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		var kib float64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			b.Fatal(err)
		}
		sum += kib / 1024
	}
	return sum
}
