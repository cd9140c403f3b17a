package broadcast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/broadcast"
	"anabranch/internal/media"
	"anabranch/internal/resource"
)

// sized is the description of a stream of pictures of a size.
func sized(t *testing.T, width, height int) media.Description {
	t.Helper()
	d := description(t)
	video := *d.Video
	video.Width, video.Height = width, height
	video.SPS = append(slices.Clone(video.SPS), byte(width), byte(height)) // another one
	d.Video = &video
	return d
}

// still writes a picture that changes nothing, which keeps a stream from being
// taken for silent.
func still(f *broadcast.Feed) error {
	at := media.Ticks(time.Now().UnixMilli()) * (media.SourceRate / 1000)
	return f.Write(media.Frame{DTS: at, PTS: at, Payload: []byte{0, 0, 0, 1, 0x41}, Captured: time.Now()})
}

// breaches are the details of the limit breaches of a stream that were told.
func (s *station) breaches(streamID string) (details []resource.LimitBreachDetail) {
	s.t.Helper()
	events, err := s.store.Events(s.t.Context(), 0, 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		if e.DetailType != resource.LimitBreach || e.StreamID != streamID {
			continue
		}
		var d resource.LimitBreachDetail
		if err := json.Unmarshal(e.Detail.(json.RawMessage), &d); err != nil {
			s.t.Fatal(err)
		}
		details = append(details, d)
	}
	return details
}

// checkBreach fails unless the stream was ended for a limit: the publisher told
// to stay away, the event stored once and before the end, the session marked,
// the channel free.
func (s *station) checkBreach(f *broadcast.Feed, want resource.LimitBreachDetail) {
	s.t.Helper()
	want.StreamID = f.StreamID()
	r := refusal(f.Err())
	if r == nil || r.Code != broadcast.CodeRejected || !strings.Contains(r.Reason, "limit of") {
		s.t.Errorf("the publisher was told %v", f.Err())
	}
	if got := s.breaches(f.StreamID()); len(got) != 1 || got[0] != want {
		s.t.Errorf("told %+v, want %+v", got, want)
	}
	session, err := s.store.StreamSession(s.t.Context(), s.channel.ARN, f.StreamID())
	if err != nil || !session.HasErrorEvent || session.EndTime == nil {
		s.t.Errorf("session %+v, %v", session, err)
	}
	names := s.events()
	if last := names[len(names)-3:]; !slices.Equal(last, []string{want.LimitName, resource.StreamEnd, resource.SessionEnded}) ||
		slices.Contains(names, resource.StreamFailure) {
		s.t.Errorf("events %q", names)
	}
	s.mustPublish().Close(nil)
}

// The bitrate of the last 30 s may exceed its limit by 5 %.
func TestIngestBitrate(t *testing.T) {
	const mbit = 1_000_000
	tests := []struct {
		channel       resource.ChannelType
		width, height int
		burst, rate   int // bits at once, then bit/s
		limit         int64
		second        int // of the breach, 0 for none within two minutes
	}{
		{resource.Standard, 1280, 720, 0, 8.9 * mbit, 8.5 * mbit, 0},
		{resource.Standard, 1280, 720, 0, 9.5 * mbit, 8.5 * mbit, 28},
		{resource.AdvancedHD, 640, 360, 0, 8.9 * mbit, 8.5 * mbit, 0},
		{resource.AdvancedSD, 640, 360, 0, 20 * mbit, 8.5 * mbit, 13},
		{resource.Basic, 1280, 720, 0, 3.6 * mbit, 3.5 * mbit, 0},
		{resource.Basic, 1280, 720, 0, 4 * mbit, 3.5 * mbit, 27},
		{resource.Basic, 640, 482, 0, 3.6 * mbit, 3.5 * mbit, 0},
		{resource.Basic, 854, 480, 0, 1.5 * mbit, 1.5 * mbit, 0},
		{resource.Basic, 854, 480, 0, 1.8 * mbit, 1.5 * mbit, 26},
		{resource.Basic, 480, 854, 0, 1.8 * mbit, 1.5 * mbit, 26},
		{resource.Standard, 1280, 720, 16 * mbit, 8 * mbit, 8.5 * mbit, 0},  // a burst at the start
		{resource.Standard, 1280, 720, 300 * mbit, 8 * mbit, 8.5 * mbit, 1}, // a flood
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		for _, tt := range tests {
			name := fmt.Sprintf("%s %dx%d at %d", tt.channel, tt.width, tt.height, tt.rate)
			s.update(func(ch *resource.Channel) { ch.Type = tt.channel })
			f := s.mustPublish()
			err := errors.Join(f.Describe(sized(t, tt.width, tt.height)), f.Received(tt.burst/8))
			second := 0
			for err == nil && second < 120 {
				second++
				time.Sleep(time.Second)
				for range 10 {
					err = errors.Join(err, f.Received(tt.rate/80))
				}
				err = errors.Join(err, still(f))
			}
			f.Close(err)
			if second < tt.second-1 || tt.second > 0 && second > tt.second+1 {
				t.Errorf("%s: ended after %d s: %v", name, second, err)
			}
			if tt.second == 0 {
				if err != nil || len(s.breaches(f.StreamID())) > 0 {
					t.Errorf("%s: ended after %d s: %v", name, second, err)
				}
				continue
			}
			over := int64(0)
			if got := s.breaches(f.StreamID()); len(got) == 1 {
				over = got[0].ExceededBy
			}
			if over < tt.limit/20 || tt.burst == 0 && over > tt.limit/5 {
				t.Errorf("%s: exceeded by %d", name, over)
			}
			s.checkBreach(f, resource.LimitBreachDetail{
				LimitName: "Ingest Bitrate", LimitValue: tt.limit, ExceededBy: over, LimitUnit: "bits per second",
			})
		}
	})
}

// Counting what comes costs nothing.
func TestReceivedAllocates(t *testing.T) {
	s := start(t, t.TempDir()).withChannel(true, nil)
	defer s.stop()
	f := s.mustPublish()
	defer f.Close(nil)
	if n := testing.AllocsPerRun(100, func() { f.Received(1) }); n > 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

// Pictures may have 2.1 million pixels, 1920 on an edge, at the start and later.
func TestIngestResolution(t *testing.T) {
	pixels := func(over int64) resource.LimitBreachDetail {
		return resource.LimitBreachDetail{LimitName: "Ingest Resolution", LimitValue: 2_100_000, ExceededBy: over, LimitUnit: "total pixels"}
	}
	edge := func(over int64) resource.LimitBreachDetail {
		return resource.LimitBreachDetail{LimitName: "Ingest Resolution", LimitValue: 1920, ExceededBy: over, LimitUnit: "pixels per edge"}
	}
	tests := []struct {
		width, height int
		want          resource.LimitBreachDetail // zero: none
	}{
		{1920, 1080, resource.LimitBreachDetail{}},
		{1080, 1920, resource.LimitBreachDetail{}},
		{1448, 1448, resource.LimitBreachDetail{}},
		{2560, 1440, pixels(1_586_400)},
		{1450, 1450, pixels(2500)},
		{1922, 800, edge(2)},
		{800, 2560, edge(640)},
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		for i, tt := range tests {
			f := s.mustPublish()
			if i%2 == 0 {
				if err := send(t, f, 2); err != nil {
					t.Fatal(err)
				}
			}
			err := f.Describe(sized(t, tt.width, tt.height))
			f.Close(err)
			session, stored := s.store.StreamSession(t.Context(), s.channel.ARN, f.StreamID())
			if stored != nil || session.IngestConfiguration == nil || session.IngestConfiguration.Video.VideoWidth != tt.width {
				t.Errorf("%dx%d: configuration %+v, %v", tt.width, tt.height, session.IngestConfiguration, stored)
			}
			if tt.want != (resource.LimitBreachDetail{}) {
				s.checkBreach(f, tt.want)
			} else if err != nil {
				t.Errorf("%dx%d: %v", tt.width, tt.height, err)
			}
		}
	})
}

// After 48 hours a stream ends.
func TestStreamDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir()).withChannel(true, nil)
		defer s.stop()
		f := s.mustPublish()
		if err := f.Describe(description(t)); err != nil {
			t.Fatal(err)
		}
		for age := time.Duration(0); age < 48*time.Hour; age += 20 * time.Second {
			if err := still(f); err != nil {
				t.Fatalf("ended after %v: %v", age, err)
			}
			time.Sleep(20 * time.Second)
		}
		time.Sleep(time.Second)
		<-f.Done()
		synctest.Wait()
		f.Close(f.Err())
		s.checkBreach(f, resource.LimitBreachDetail{
			LimitName: "Stream Duration", LimitValue: 172_800, ExceededBy: 1, LimitUnit: "seconds",
		})
	})
}

// A viewer who watches while the stream breaches a limit waits for the next
// stream as after a drop.
func TestBreachKeepsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		window := 60
		s := start(t, t.TempDir()).withChannel(true, &window)
		defer s.stop()
		f := s.mustPublish()
		if err := send(t, f, 3); err != nil {
			t.Fatal(err)
		}
		f.Close(f.Received(1 << 30))
		time.Sleep(30 * time.Second)
		if v, ok := s.m.Lookup(s.channel.ID()); !ok || v.Window.Info().Ended {
			t.Error("the playlist has ended")
		}
		if got := s.events(); slices.Contains(got, resource.RecordingEnd) || !slices.Contains(got, resource.IngestBitrate) {
			t.Errorf("events %q", got)
		}
	})
}

// However many want to end a stream at once, it ends once, for one reason, and
// the channel is free.
func TestEndsAtOnce(t *testing.T) {
	const silence = 30 * time.Second
	enders := []struct {
		name string
		end  func(s *station, f *broadcast.Feed)
	}{
		{"the publisher hangs up", func(_ *station, f *broadcast.Feed) { f.Close(io.EOF) }},
		{"the media is at fault", func(_ *station, f *broadcast.Feed) { f.Close(&broadcast.Refused{Reason: "broken"}) }},
		{"a limit is breached", func(_ *station, f *broadcast.Feed) { f.Close(f.Received(1 << 30)) }},
		{"StopStream", func(s *station, _ *broadcast.Feed) { s.m.Stop(s.t.Context(), s.channel.ARN) }},
		{"silence", func(_ *station, f *broadcast.Feed) { <-f.Done() }},
		{"the database is away", func(s *station, f *broadcast.Feed) { s.failing.ends.Add(1); f.Close(nil) }},
		{"the server stops", func(s *station, _ *broadcast.Feed) { s.stopBroadcasting() }},
	}
	for i, one := range enders {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, t.TempDir()).withChannel(true, nil)
			defer s.stop()
			for _, another := range enders[i+1:] { // the server's stop comes last
				began := time.Now() // the stream is looked at in whole seconds from here
				f := s.mustPublish()
				if err := send(t, f, 1); err != nil {
					t.Fatal(err)
				}
				last := time.Since(began).Truncate(time.Second)
				time.Sleep(time.Until(began.Add(last + silence)))
				var both sync.WaitGroup
				both.Go(func() { one.end(s, f) })
				both.Go(func() { another.end(s, f) })
				both.Wait()
				f.Close(nil)
				session, err := s.store.StreamSession(t.Context(), s.channel.ARN, f.StreamID())
				if err != nil || session.EndTime == nil {
					t.Fatalf("%s, %s: %+v, %v", one.name, another.name, session, err)
				}
				told := map[string]int{}
				for _, e := range session.TruncatedEvents {
					told[e.Name]++
				}
				if told[resource.StreamEnd] != 1 || told[resource.SessionEnded] != 1 ||
					told[resource.IngestBitrate]+told[resource.StreamFailure] > 1 || session.TruncatedEvents[0].Name != resource.SessionEnded {
					t.Errorf("%s, %s: %+v", one.name, another.name, told)
				}
			}
		})
	}
}

// A stream too many is refused and told of, and disturbs none of the others,
// who may come back at any time.
func TestConcurrentStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startWith(t, t.TempDir(), broadcast.Config{MaxStreams: 2})
		defer s.stop()
		var streams []*broadcast.Feed
		var keys []resource.StreamKey
		for range 2 {
			streams = append(streams, s.withChannel(false, nil).mustPublish())
			keys = append(keys, s.key)
		}
		for range 3 { // told once a second
			_, err := s.withChannel(false, nil).publish()
			if r := refusal(err); r == nil || r.Code != broadcast.CodeRejected || !strings.Contains(r.Reason, "2 streams are on air") {
				t.Errorf("the third publisher was told %v", err)
			}
			_, _ = s.publish()
			want := []resource.LimitBreachDetail{{LimitName: "Concurrent Broadcasts", LimitValue: 2, ExceededBy: 1, LimitUnit: "active streams"}}
			if got := s.breaches(""); !slices.Equal(got, want) && !slices.Equal(got[len(got)-1:], want) {
				t.Errorf("told %+v", got)
			}
		}
		if n := len(s.breaches("")); n != 3 {
			t.Errorf("told %d times of three channels", n)
		}

		s.key = keys[0]
		streams[0].Close(nil)
		streams[0] = s.mustPublish()
		streams[1].Close(nil)
		s.withChannel(false, nil).mustPublish().Close(nil)
		streams[0].Close(nil)
	})
}
