package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// apiChannels is how many channels there are when calls are measured.
const apiChannels = 5000

// BenchmarkAPI measures calls of the API with 5,000 channels and as many stream
// keys: first their making, then a mix of calls by 1, 8 and 32 callers at a
// time, then each operation by itself, beside what nginx takes to send the same
// bytes from a file to a caller whom it need not know. Callers sign before they
// are measured and keep their connections. A stream is live meanwhile.
func BenchmarkAPI(b *testing.B) {
	d := min(benchTime()/5, 3*time.Second)
	s := startServer(b)
	caller := newAPICaller(s)
	live := s.newChannel()
	publisher := startReplay(b, live.rtmp(), plainFootage)
	table := fmt.Sprintf("| API calls at %d channels | callers | calls/s | p50 ms | p99 ms | CPU µs per call | calls/s per core | resident MiB | errors |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n", apiChannels)

	arns, made := benchCreation(b, s, caller)
	table += made.row("CreateChannel, with its key", 32)
	operations := apiOperations(b, caller, arns)
	live.waitLive()
	mix := func(random *rand.Rand) []byte {
		at := random.IntN(100)
		for _, o := range operations {
			if at -= o.share; at < 0 {
				return o.pick(random)
			}
		}
		return nil
	}
	for _, n := range []int{1, 8, 32} {
		name := fmt.Sprintf("api-%d", n)
		var r apiResult
		s.profiled(name, d+time.Second/2, func() { r = benchCalls(b, name, caller.host, n, mix, d, s.pid()) })
		table += r.row("a mix of the calls below", n)
	}
	publisher.check(b)

	table += "\n| 8 callers | share of the mix | answer KiB | calls/s | p50 ms | p99 ms | CPU µs per call | beside nginx |\n|---|--:|--:|--:|--:|--:|--:|--:|\n"
	files := make(map[string][]byte)
	for _, o := range operations {
		files[o.name] = o.answer
	}
	nginx := startNginxWith(b, files)
	for _, o := range operations {
		r := benchCalls(b, o.name, caller.host, 8, o.pick, d, s.pid())
		ratio := ""
		if nginx != nil {
			request := appendRequest(nil, nginx.host, "/", o.name)
			theirs := benchCalls(b, "nginx", nginx.host, 8, oneOf([][]byte{request}), min(d, time.Second), nginx.pids...)
			ratio = fmt.Sprintf("× %.1f", r.perCall()/theirs.perCall())
		}
		table += fmt.Sprintf("| %s | %d %% | %.1f | %.0f | %.2f | %.2f | %.0f | %s |\n",
			o.name, o.share, float64(len(o.answer))/1024, r.rate(), r.calls.at(.5), r.calls.at(.99), r.perCall(), ratio)
	}
	fmt.Printf("\n%s\nOn %d processors, which the callers share. BatchGetChannel asks for 50 channels, ListChannels for a page of 100; UpdateChannel writes and syncs.\n\n", table, runtime.NumCPU())
}

// apiResult is what callers saw, and what the server used for it.
type apiResult struct {
	usage
	calls  series // the time of each, in ms
	errors int
}

func (r *apiResult) rate() float64 { return float64(len(r.calls)) / r.took.Seconds() }

// perCall is in µs of CPU time.
func (r *apiResult) perCall() float64 {
	return float64(r.cpu.Microseconds()) / float64(max(1, len(r.calls)))
}

func (r *apiResult) row(name string, callers int) string {
	return fmt.Sprintf("| %s | %d | %.0f | %.2f | %.2f | %.0f | %.0f | %.0f | %d |\n", name, callers, r.rate(), r.calls.at(.5), r.calls.at(.99),
		r.perCall(), float64(len(r.calls))/r.cpu.Seconds(), r.resident, r.errors)
}

func benchCalls(b *testing.B, name, host string, callers int, pick func(*rand.Rand) []byte, d time.Duration, pids ...int) (r apiResult) {
	b.Helper()
	load := &apiLoad{host: host, pick: pick, count: callers}
	stop := load.run()
	time.Sleep(d / 5) // connections are made, caches are warm
	load.counting.Store(true)
	r.usage = measure(b, d, pids...)
	load.counting.Store(false)
	r.calls = stop()
	r.errors = load.failures.tell(b, name)
	return r
}

// benchCreation makes the channels.
func benchCreation(b *testing.B, s *server, caller *apiCaller) (arns []string, r apiResult) {
	b.Helper()
	calls := make([][]byte, apiChannels)
	for i := range calls {
		calls[i] = caller.call(b, "CreateChannel", map[string]any{"name": fmt.Sprintf("channel-%04d", i), "tags": map[string]string{"number": fmt.Sprint(i)}})
	}
	arns = make([]string, apiChannels)
	took := make([]float64, apiChannels)
	var (
		next   atomic.Int64
		making sync.WaitGroup
		wrong  failures
	)
	before, began := cpuTime(b, s.pid()), time.Now()
	for range 32 {
		making.Go(func() {
			c, err := dialLoad(caller.host)
			if err != nil {
				wrong.add(err)
				return
			}
			defer c.close()
			for i := next.Add(1) - 1; i < apiChannels; i = next.Add(1) - 1 {
				var answer struct{ Channel struct{ ARN string } }
				begin := time.Now()
				if err := caller.ask(c, calls[i], &answer); err != nil {
					wrong.add(err)
				}
				took[i], arns[i] = float64(time.Since(begin).Microseconds())/1000, answer.Channel.ARN
			}
		})
	}
	making.Wait()
	r.usage = usage{cpu: cpuTime(b, s.pid()) - before, took: time.Since(began), resident: resident(b, s.pid())}
	r.calls = took
	if r.errors = wrong.tell(b, "creation"); r.errors > 0 {
		b.FailNow()
	}
	return arns, r
}

// apiOperation is an operation, with calls that are ready to be sent.
type apiOperation struct {
	name   string
	share  int // of the mix, in per cent
	pick   func(*rand.Rand) []byte
	answer []byte // to one of the calls
}

func apiOperations(b *testing.B, caller *apiCaller, arns []string) (all []apiOperation) {
	b.Helper()
	c, err := dialLoad(caller.host)
	if err != nil {
		b.Fatal(err)
	}
	defer c.close()
	add := func(name string, share int, inputs []map[string]any) {
		o := apiOperation{name: name, share: share}
		calls := make([][]byte, len(inputs))
		for i, input := range inputs {
			calls[i] = caller.call(b, name, input)
		}
		o.pick = oneOf(calls)
		_, err := c.ask(calls[0])
		if err == nil {
			o.answer, err = c.body()
		}
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, o)
	}

	var gets, batches, updates, pages []map[string]any
	for i, arn := range arns {
		gets = append(gets, map[string]any{"arn": arn})
		updates = append(updates, map[string]any{"arn": arn, "name": fmt.Sprintf("renamed-%04d", i)})
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		some := make([]string, 50)
		for i := range some {
			some[i] = arns[random.IntN(len(arns))]
		}
		batches = append(batches, map[string]any{"arns": some})
	}
	listed := 0
	for token := ""; len(pages) == 0 || token != ""; {
		input := map[string]any{"maxResults": 100}
		if token != "" {
			input["nextToken"] = token
		}
		var page struct {
			Channels  []struct{ ARN string }
			NextToken string
		}
		if err := caller.ask(c, caller.call(b, "ListChannels", input), &page); err != nil {
			b.Fatal(err)
		}
		pages, token = append(pages, input), page.NextToken
		listed += len(page.Channels)
	}
	if listed != apiChannels+1 { // and the one that is live
		b.Errorf("%d channels are listed", listed)
	}
	add("GetChannel", 60, gets)
	add("BatchGetChannel", 10, batches)
	add("ListChannels", 10, pages)
	add("ListStreams", 10, []map[string]any{{}})
	add("UpdateChannel", 10, updates)
	return all
}

// startNginxWith starts an nginx that serves files; it is nil where there is
// none.
func startNginxWith(b *testing.B, files map[string][]byte) *nginx {
	b.Helper()
	dir := b.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		b.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, "files", name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return startNginx(b, dir)
}
