package playback_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/playback"
	"anabranch/internal/resource"
)

// running are Views of nobody, which forget until the test ends.
func running(t *testing.T) *playback.Views {
	v := playback.NewViews()
	run(t, v)
	return v
}

func run(t *testing.T, v *playback.Views) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func channelARN(id string) resource.ARN { return place.ARN(resource.KindChannel, id) }

func TestViews(t *testing.T) {
	every := func(d time.Duration, n int) (at []time.Duration) {
		for i := range n {
			at = append(at, time.Duration(i)*d)
		}
		return at
	}
	const ms = time.Millisecond
	type count struct {
		at   time.Duration // just behind it
		want int
	}
	for _, tt := range []struct {
		name     string
		requests []time.Duration // of one session
		counts   []count
	}{
		{"one request", every(0, 1), []count{{0, 0}, {2000 * ms, 0}, {29_000 * ms, 0}}},
		{"one look, of several requests", every(100*ms, 10), []count{{900 * ms, 0}, {29_000 * ms, 0}}},
		{"with parts", every(250*ms, 400), []count{{750 * ms, 0}, {1000 * ms, 1}, {15_000 * ms, 1}, {99_000 * ms, 1}, {129_000 * ms, 1}, {135_000 * ms, 0}}},
		{"without parts", every(4000*ms, 20), []count{{3900 * ms, 0}, {4000 * ms, 1}, {15_000 * ms, 1}, {76_000 * ms, 1}, {105_000 * ms, 1}, {111_000 * ms, 0}}},
		{"seldom", every(29_000*ms, 5), []count{{28_000 * ms, 0}, {29_000 * ms, 1}, {100_000 * ms, 1}, {116_000 * ms, 1}, {151_000 * ms, 0}}},
		{"back after its end", []time.Duration{0, 1000 * ms, 60_000 * ms, 61_000 * ms}, []count{
			{1000 * ms, 1}, {36_000 * ms, 0}, {60_500 * ms, 0}, {61_000 * ms, 1}, {96_000 * ms, 0},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := running(t)
				began := time.Now()
				for _, at := range tt.requests {
					time.AfterFunc(at, func() { v.Saw("abc", "a session") })
				}
				for _, c := range tt.counts {
					time.Sleep(time.Until(began.Add(c.at + ms)))
					if got := v.Viewers(channelARN("abc")); got != c.want {
						t.Errorf("%v after its start it counts as %d, not %d", c.at, got, c.want)
					}
				}
			})
		})
	}
}

// Each channel has its own views, and the server all of them.
func TestViewsOfChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := running(t)
		before := viewsGauge(t)
		audiences := map[string]int{"a": 1, "b": 40, "c": 300, "nobody": 0}
		for range 2 {
			for id, n := range audiences {
				for i := range n {
					v.Saw(id, fmt.Sprintf("%s %d", id, i))
				}
			}
			time.Sleep(time.Second)
		}
		check := func(when string, all float64) {
			t.Helper()
			for id, want := range audiences {
				if got := v.Viewers(channelARN(id)); got != want {
					t.Errorf("%s channel %s has %d views, not %d", when, id, got, want)
				}
			}
			if got := viewsGauge(t) - before; got != all {
				t.Errorf("%s the server tells %v views, not %v", when, got, all)
			}
		}
		check("when all are there", 341)
		audiences = map[string]int{"a": 0, "b": 0, "c": 1, "nobody": 0}
		for range 60 {
			v.Saw("c", "c 7")
			time.Sleep(time.Second)
		}
		check("when one is left", 1)
		audiences["c"] = 0
		time.Sleep(time.Minute)
		check("when all have left", 0)
	})
}

func viewsGauge(t *testing.T) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "anabranch_playback_views" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no gauge of views")
	return 0
}

// Who makes sessions without end neither takes the memory nor drives away who
// is counted, and fills the count of one channel only.
func TestViewsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ofChannel, ofAll = 100_000, 500_000
		v := running(t)
		// come lets sessions play for a second, and says how many count then.
		come := func(id string, first, n int) int {
			for range 2 {
				for i := range n {
					v.Saw(id, strconv.Itoa(first+i))
				}
				time.Sleep(time.Second)
			}
			return v.Viewers(channelARN(id))
		}
		check := func(what string, got, want int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %d views, not %d", what, got, want)
			}
		}
		check("a channel that is full", come("full", 0, ofChannel+500), ofChannel)
		check("a channel beside it", come("other", 1_000_000, 10), 10)
		for i := range ofAll - ofChannel - 10 { // four channels more
			v.Saw(strconv.Itoa(i/ofChannel), "one of many "+strconv.Itoa(i))
		}
		check("newcomers at a full server", come("late", 2_000_000, 10), 0)
		check("who was there", come("other", 1_000_000, 10), 10)
		time.Sleep(time.Minute)
		check("newcomers when those have left", come("late", 2_000_000, 10), 10)
	})
}

// What a player gets counts, not what it asks for.
func TestViewsOfPlayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStation(t)
		run(t, st.seen)
		st.channel("abc", 5, nil)
		st.channel("def", 5, nil)
		st.channel("private", 5, func(ch *resource.Channel) { ch.Authorized = true })
		player, another := st.tune("abc"), st.tune("abc")
		stolen := func(id string) string { // a session of abc at another channel
			return player[:len(player)-len("abc/playlist.m3u8")] + id + "/playlist.m3u8"
		}
		for range 5 {
			for _, target := range []string{
				playback.Path(place, "def"), stolen("def"), stolen("private"), stolen("nowhere"), another + "?_HLS_msn=x", "/live/def/0.m4s",
			} {
				st.get(target)
			}
			if res := st.get(player); res.StatusCode != 200 {
				t.Fatal(res.Status)
			}
			time.Sleep(time.Second)
		}
		for id, want := range map[string]int{"abc": 1, "def": 0, "private": 0, "nowhere": 0} {
			if got := st.seen.Viewers(channelARN(id)); got != want {
				t.Errorf("channel %s has %d views, not %d", id, got, want)
			}
		}
	})
}

func BenchmarkViews(b *testing.B) {
	for _, n := range []int{1, 20_000} {
		b.Run(fmt.Sprintf("%d sessions", n), func(b *testing.B) {
			v := playback.NewViews()
			sessions := make([]string, n)
			for i := range sessions {
				sessions[i] = resource.RandomID(16)
				v.Saw("abc", sessions[i])
			}
			b.ReportAllocs()
			var worker atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(worker.Add(1)) * 7919; pb.Next(); i++ {
					v.Saw("abc", sessions[i%n])
				}
			})
		})
	}
}
