package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// BenchmarkViewers measures what viewers of one stream of 720p30 at 2.5 Mbit/s
// cost: bits served for each second that the server ran on a processor.
//
// First they watch in real time, more and more of them, as long as the machine
// carries them and the load generator beside them. A viewer keeps up when it
// gets every part within a second of its listing, which is when the first of
// all viewers had the playlist with it.
//
// Then a hundred clients fetch the same mix of playlists and parts as fast as
// they can, over the live edge of the server, and over the same files from
// nginx, which need not be made and held back. All is over loopback, where the
// work of receiving is partly the sender's, for both.
func BenchmarkViewers(b *testing.B) {
	d := benchTime() / 2
	s := startServer(b)
	c := s.newChannel()
	publisher := startReplay(b, c.rtmp(), plainFootage)
	c.waitPlayable()

	table := "| viewers of 2.5 Mbit/s, in real time | kept up | requests/s | Gbit/s | Gbit/s per core | cores, server | cores, generator | part delivery p50 ms | p99 ms | errors |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
	counts := []int{100, 500, 1000, 2000, 3000, 5000}
	if d < 10*time.Second {
		counts = []int{100, 1000}
	}
	for _, n := range counts {
		row, kept := benchAudience(b, c, n, d)
		if table += row; kept < n*99/100 {
			break // more would not say more
		}
	}

	table += fmt.Sprintf("\n| %d clients, as fast as they can | requests/s | Gbit/s | Gbit/s per core | beside nginx | errors |\n|---|--:|--:|--:|--:|--:|\n", crowdSize)
	ours, files := benchCrowd(b, c, d)
	theirs := benchNginx(b, files, d)
	table += ours.row("anabranch, live", theirs)
	if theirs != nil {
		table += theirs.row("nginx, files", theirs)
	} else {
		table += "| nginx is not installed | | | | | |\n"
	}
	publisher.check(b)
	fmt.Printf("\n%s\nOn %d processors, which the load generator shares.\n\n", table, runtime.NumCPU())
}

func benchAudience(b *testing.B, c *channel, n int, d time.Duration) (row string, kept int) {
	b.Helper()
	a := c.newAudience()
	ramp := max(time.Second, time.Duration(n)*time.Millisecond)
	stop := a.start(b, n, ramp)
	time.Sleep(ramp + time.Second)
	a.since.Store(time.Now().UnixNano())
	var u usage
	generator := cpuTime(b, os.Getpid())
	c.server.profiled(fmt.Sprintf("viewers-%d", n), d, func() { u = measure(b, d, c.server.pid()) })
	generator = cpuTime(b, os.Getpid()) - generator
	end := time.Now()
	received, requests := a.received.Load(), a.requests.Load()
	stop()
	errors := a.failures.tell(b, strconv.Itoa(n)+" viewers")
	kept = a.keptUp(end)
	gigabits := float64(received) * 8 / 1e9
	return fmt.Sprintf("| %d | %d | %.0f | %.2f | %.2f | %.2f | %.2f | %d | %d | %d |\n", n, kept, float64(requests)/u.took.Seconds(),
		gigabits/u.took.Seconds(), gigabits/u.cpu.Seconds(), u.cpu.Seconds()/u.took.Seconds(), generator.Seconds()/u.took.Seconds(),
		a.delivered.at(.5).Milliseconds(), a.delivered.at(.99).Milliseconds(), errors), kept
}

const crowdSize = 100

// crowdResult is what a crowd got, and what the server used for it.
type crowdResult struct {
	usage
	requests int64
	gigabits float64
	errors   int
}

func (r *crowdResult) perCore() float64 { return r.gigabits / r.cpu.Seconds() }

func (r *crowdResult) row(name string, beside *crowdResult) string {
	ratio := ""
	if beside != nil {
		ratio = fmt.Sprintf("× %.2f", r.perCore()/beside.perCore())
	}
	return fmt.Sprintf("| %s | %.0f | %.2f | %.2f | %s | %d |\n", name, float64(r.requests)/r.took.Seconds(), r.gigabits/r.took.Seconds(), r.perCore(), ratio, r.errors)
}

// edgeFile is a step of the live edge: the playlist that brought a part, in
// gzip, and the part.
type edgeFile struct {
	playlist, media []byte
}

// benchCrowd also returns the newest steps of the live edge, so that another
// server can serve the same.
func benchCrowd(b *testing.B, c *channel, d time.Duration) (r *crowdResult, files []edgeFile) {
	b.Helper()
	a := c.newAudience()
	load := &crowd{host: a.host}
	var playlists []string
	for range crowdSize {
		client, err := dialLoad(a.host)
		if err != nil {
			b.Fatal(err)
		}
		path, _, err := a.tuneIn(client)
		client.close()
		if err != nil {
			b.Fatal(err)
		}
		playlists = append(playlists, path)
	}

	ctx, cancel := context.WithCancel(b.Context())
	first := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		var err error
		if files, err = a.lead(ctx, load, playlists[0], first); err != nil && ctx.Err() == nil {
			b.Errorf("follow the live edge: %v", err)
		}
	})
	<-first
	c.server.profiled("crowd", d, func() { r = benchLoad(b, load, playlists, d, c.server.pid()) })
	cancel()
	following.Wait()
	return r, files
}

// lead moves a crowd's edge with the live one until ctx ends. It closes first
// when there is one, and returns the newest steps.
func (a *audience) lead(ctx context.Context, load *crowd, path string, first chan struct{}) (files []edgeFile, err error) {
	const keep = 24 // eight seconds
	begin := sync.OnceFunc(func() { close(first) })
	defer begin()
	c, err := dialLoad(a.host)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, c.close)()
	defer c.close()
	fetch := func(target ...string) (header, body []byte, err error) {
		if header, err = c.ask(appendRequest(nil, a.host, target...)); err != nil {
			return nil, nil, err
		}
		header = bytes.Clone(header)
		body, err = c.body()
		return header, body, err
	}
	header, text, err := fetch(path)
	for query := ""; err == nil; header, text, err = fetch(path, query) {
		body, err := decodeContent(header, text)
		if err != nil {
			return files, err
		}
		parts, err := readParts(body, path)
		if err != nil {
			return files, err
		}
		newest := parts[len(parts)-1]
		ask := func(part int) string {
			return fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d&_HLS_skip=YES", newest.step.msn, part)
		}
		if query != "" {
			_, media, err := fetch(newest.target)
			if err != nil {
				return files, err
			}
			files = append(files, edgeFile{text, media})
			files = files[max(0, len(files)-keep):]
			load.edge.Store(&crowdEdge{ask(newest.step.part), newest.target})
			if len(files) > 1 {
				begin()
			}
		}
		query = ask(newest.step.part + 1)
	}
	return files, err
}

// benchLoad lets a crowd loose on processes.
func benchLoad(b *testing.B, load *crowd, playlists []string, d time.Duration, pids ...int) *crowdResult {
	b.Helper()
	var crowding sync.WaitGroup
	crowding.Go(func() { load.run(playlists, d+2*time.Second) })
	time.Sleep(time.Second)
	received, requests := load.received.Load(), load.requests.Load()
	r := &crowdResult{usage: measure(b, d, pids...)}
	r.gigabits = float64(load.received.Load()-received) * 8 / 1e9
	r.requests = load.requests.Load() - requests
	crowding.Wait()
	r.errors = load.failures.tell(b, "the crowd")
	return r
}

// benchNginx serves the same from files. It is nil where there is no nginx.
func benchNginx(b *testing.B, files []edgeFile, d time.Duration) *crowdResult {
	b.Helper()
	dir := b.TempDir()
	save := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, "files", name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		b.Fatal(err)
	}
	for i, f := range files {
		save(fmt.Sprintf("%d.m3u8.gz", i), f.playlist)
		save(fmt.Sprintf("%d.m3u8", i), nil)
		save(fmt.Sprintf("%d.m4s", i), f.media)
	}
	server := startNginx(b, dir)
	if server == nil {
		return nil
	}
	load := &crowd{host: server.host}
	move := func(i int) {
		i %= len(files)
		load.edge.Store(&crowdEdge{fmt.Sprintf("%d.m3u8?_HLS_msn=946684801&_HLS_part=%d&_HLS_skip=YES", i, i), fmt.Sprintf("/%d.m4s", i)})
	}
	move(0)
	ctx, cancel := context.WithCancel(b.Context())
	var moving sync.WaitGroup
	defer moving.Wait()
	defer cancel()
	moving.Go(func() {
		tick := time.NewTicker(time.Second / 3)
		defer tick.Stop()
		for i := 1; ; i++ {
			select {
			case <-tick.C:
				move(i)
			case <-ctx.Done():
				return
			}
		}
	})
	playlists := make([]string, crowdSize)
	for i := range playlists {
		playlists[i] = "/"
	}
	return benchLoad(b, load, playlists, d, server.pids...)
}
