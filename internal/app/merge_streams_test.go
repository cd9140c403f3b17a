package app

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
)

// How streams end and begin, and what comes in between.
func TestMergeStreams(t *testing.T) {
	small := plain.but(func(e *encoder) { e.width = 640 })
	mute := plain.but(func(e *encoder) { e.toldBitrate = 0 }) // does not tell its bitrate
	for _, tt := range []merge{
		{name: "StopStream and return", window: 60, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			if _, err := s.api.StopStream(s.Context(), &ivs.StopStreamInput{ChannelArn: s.channel}); err != nil {
				s.Error(err)
			}
			f.Close(f.Err())
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3, ended 1m6s"}},
		{name: "two come back at once", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(sec)
			refused := make(chan error, 2)
			for range 2 {
				go func() {
					f, err := s.publish()
					if err == nil {
						err = s.send(f, plain, 3*sec)
						f.Close(io.EOF)
					}
					refused <- err
				}()
			}
			var r *broadcast.Refused
			if err := errors.Join(<-refused, <-refused); !errors.As(err, &r) || r.Code != broadcast.CodeBadName {
				s.Errorf("one is told %v", err)
			}
		}, want: []string{"1 2: 3|3, ended 1m7s"}},
		{name: "back while the old connection hangs", window: 60, play: func(s *studio) {
			hangs := s.begin(plain, 3*sec)
			time.Sleep(sec)
			s.stream(plain, 3*sec) // after 2.5 s
			hangs.Close(io.EOF)
		}, want: []string{"1 2: 3|3, ended 1m9.5s"}},
		{name: "without media in between", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.stream(plain, 0)
			s.stream(plain, 3*sec)
		}, want: []string{"1 3: 3|3, ended 1m6s"}},
		{name: "without media when the window ends", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(50 * sec)
			f := s.begin(plain, 0)
			time.Sleep(20 * sec)
			f.Close(io.EOF)
			s.stream(plain, 3*sec)
		}, want: []string{"1: 3, ended 1m3s", "3: 3, ended 2m16s"}, told: "start 1, end 1, start 3, end 3"},
		{name: "begun inside the window, media after it", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(50 * sec)
			f := s.begin(plain, 0)
			time.Sleep(20 * sec)
			if err := s.send(f, plain, 3*sec); err != nil {
				s.Error(err)
			}
			f.Close(io.EOF)
		}, want: []string{"1 2: 3|3, ended 2m16s"}},
		{name: "another encoder in between", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.stream(small, 3*sec)
			s.stream(plain, 3*sec)
			s.stream(small, 3*sec)
		}, want: []string{"1 3: 3|3, ended 1m9s", "2 4: 3|3, ended 1m12s"}, told: "start 1, start 2, end 1 3, end 2 4"},
		{name: "another encoder in between, fragmented", window: 60, play: func(s *studio) {
			s.fragmented()
			s.stream(plain, 3*sec)
			s.stream(small, 3*sec)
			s.stream(plain, 3*sec)
			s.stream(small, 3*sec)
		}, want: []string{"1 3: 3|3, ended 1m9s", "2 4: 3|3, ended 1m12s"}, told: "start 1, start 2, end 1 3, end 2 4"},
		{name: "another encoder in between, told by its pictures alone", window: 60, play: func(s *studio) {
			for range 2 {
				s.stream(mute, 3*sec)
				s.stream(mute.but(func(e *encoder) { e.size = 1000 }), 3*sec)
			}
		}, want: []string{"1 3: 3|3, ended 1m9s", "2 4: 3|3, ended 1m12s"}, told: "start 1, start 2, end 1 3, end 2 4"},
		{name: "another encoder in between, told by its pictures alone, fragmented", window: 60, play: func(s *studio) {
			s.fragmented()
			for range 2 {
				s.stream(mute, 3*sec)
				s.stream(mute.but(func(e *encoder) { e.size = 1000 }), 3*sec)
			}
		}, want: []string{"1 3: 3|3, ended 1m9s", "2 4: 3|3, ended 1m12s"}, told: "start 1, start 2, end 1 3, end 2 4"},
		{name: "size changed on air, first size back", window: 60, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			if err := s.send(f, small, 3*sec); err != nil {
				s.Error(err)
			}
			f.Close(io.EOF)
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3|3, ended 1m9s"}},
		{name: "20 streams", window: 60, play: func(s *studio) {
			for range 22 {
				s.stream(plain, sec)
			}
		}, want: []string{
			"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20: 1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1|1, ended 1m20s",
			"21 22: 1|1, ended 1m22s",
		}, told: "start 1, start 21, end 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20, end 21 22"},
		{name: "48 hours", window: 60, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			s.idle(f, 48*time.Hour-10*sec)
			f.Close(io.EOF)
			s.stream(plain, 30*sec) // goes on beyond them
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|10 10 10, ended 48h1m23s", "3: 3, ended 48h1m26s"}, told: "start 1, start 3, end 1 2, end 3"},
	} {
		tt.run(t)
	}
}

// What the server and the bucket do meanwhile.
func TestMergeAcrossTrouble(t *testing.T) {
	slow := func(d time.Duration) func(*bucket) { return func(b *bucket) { b.delay = d } }
	for _, tt := range []merge{
		{name: "back while the last upload runs", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.cable.set(slow(20 * sec))
			time.Sleep(sec)
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3, ended 1m7s"}},
		{name: "back after the window, while the end is being stored", window: 1, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.cable.set(slow(20 * sec))
			time.Sleep(10 * sec)
			s.stream(plain, 3*sec)
		}, want: []string{"1: 3, ended 4s", "2: 3, ended 17s"}, told: "start 1, start 2, end 1, end 2"},
		{name: "server away in the gap", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(50 * sec)
			s.stop()
			time.Sleep(5 * time.Minute)
			s.start()
			time.Sleep(50 * sec) // the window counts from the start
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3, ended 7m46s"}},
		{name: "server away in the gap, nobody comes", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.stop()
			time.Sleep(5 * time.Minute)
			s.start()
		}, want: []string{"1: 3, ended 6m3s"}},
		{name: "server stopped on air", window: 60, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			s.stop()
			f.Close(f.Err())
			s.start()
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3, ended 1m6s"}},
		{name: "server killed in the gap", window: 60, play: func(s *studio) {
			s.stream(plain, 3*sec)
			time.Sleep(50 * sec)
			s.kill()
			s.start()
			time.Sleep(50 * sec)
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 3|3, ended 2m46s"}},
		{name: "server killed on air", window: 60, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			s.kill()
			f.Close(io.EOF)
			s.start()
			time.Sleep(sec)
			s.stream(plain, 3*sec)
		}, want: []string{"1 2: 2.667|3, ended 1m7s"}},
		{name: "server stopped in the gap, no window", window: 0, play: func(s *studio) {
			s.stream(plain, 3*sec)
			s.stop()
			s.start()
			s.stream(plain, 3*sec)
		}, want: []string{"1: 3, ended 3s", "2: 3, ended 6s"}, told: "start 1, end 1, start 2, end 2"},
		{name: "server stopped on air, no window", window: 0, play: func(s *studio) {
			f := s.begin(plain, 3*sec)
			s.stop()
			f.Close(f.Err())
			s.start()
			s.stream(plain, 3*sec)
		}, want: []string{"1: 3, ended 3s", "2: 3, ended 6s"}, told: "start 1, end 1, start 2, end 2"},
	} {
		tt.run(t)
	}
}

// The window is a time that passes: a clock that is set while the server is
// away makes it neither longer nor shorter. Each bubble begins at the same
// time, which is when the first server begins.
func TestMergeClockSet(t *testing.T) {
	for _, tt := range []struct {
		name  string
		at    time.Duration // when the server is killed
		again time.Duration // when the next one starts
		gap   time.Duration // from there to the next stream
		want  []string
		told  string
	}{
		{"set back, inside", 2 * time.Hour, time.Hour, 59 * sec, []string{"1 2: 2.667|3, ended 1h59m57s"}, ""},
		{"set back, outside", 2 * time.Hour, time.Hour, 61 * sec,
			[]string{"1: 2.667, ended 1h59m57s", "2: 3, ended 1h2m4s"}, "start 1, end 1, start 2, end 2"},
		{"set forward, inside", 2 * time.Hour, 24 * time.Hour, 59 * sec, []string{"1 2: 2.667|3, ended 24h2m2s"}, ""},
		{"set forward, by more than a recording takes", 2 * time.Hour, 72 * time.Hour, 59 * sec,
			[]string{"1: 2.667, ended 72h1m0s", "2: 3, ended 72h2m2s"}, "start 1, start 2, end 1, end 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var before *studio
			synctest.Test(t, func(t *testing.T) {
				before = newStudio(t, 60)
				time.Sleep(tt.at - 3*sec)
				f := before.begin(plain, 3*sec)
				before.kill()
				f.Close(io.EOF)
				if err := os.CopyFS(dir, os.DirFS(before.dir)); err != nil {
					t.Fatal(err)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				s := before.again(t, dir)
				time.Sleep(tt.again)
				s.start()
				time.Sleep(tt.gap)
				s.stream(plain, 3*sec)
				time.Sleep(10 * time.Minute)
				s.want(tt.want, tt.told)
			})
		})
	}
}
