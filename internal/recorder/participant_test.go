package recorder

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/disk/disktest"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// A participant who comes back goes on with the same recording: by the same token
// to the same stage, inside the window, whatever the session, the sizes and the
// codecs are.
func TestParticipantReturns(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window int
		gap    time.Duration
		change func(c *camera)
		merged bool
	}{
		{"at once", 60, 0, nil, true},
		{"just inside", 60, 60*time.Second - 1, nil, true},
		{"just outside", 60, 60*time.Second + 1, nil, false},
		{"no window", 0, 0, nil, false},
		{"another session", 60, time.Second, func(c *camera) { c.session("st-6F5e4D3c2B1a0") }, true},
		{"another size", 60, time.Second, func(c *camera) { c.resize(640, 360, 0x1e) }, true},
		{"without pictures", 60, time.Second, func(c *camera) { c.stream.Description.Video = nil }, true},
		{"another user id", 60, time.Second, func(c *camera) { c.stream.Participant.UserID = "eve" }, true},
		{"another participant", 60, time.Second, func(c *camera) { c.stream.Participant.ID = "guestB" }, false},
		{"another stage", 60, time.Second, func(c *camera) { c.stream.Participant.Stage += "B" }, false},
		{"another storage configuration", 60, time.Second, func(c *camera) { c.stream.Participant.Storage.ARN += "B" }, false},
		{"another bucket", 60, time.Second, func(c *camera) { c.stream.Participant.Storage.S3.BucketName = "other" }, false},
		{"sound alone", 60, time.Second, func(c *camera) { c.stream.Participant.Recording.MediaTypes = []string{"AUDIO_ONLY"} }, false},
		{"thumbnails alone", 60, time.Second, func(c *camera) { c.stream.Participant.Recording.MediaTypes = []string{"NONE"} }, false},
		{"other objects", 60, time.Second, func(c *camera) { c.stream.Participant.Recording.HLS.TargetSegmentDurationSeconds = 4 }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newPublisher(tt.window)
				first := c.stream.ID
				c.broadcast(t, r, 30) // 10 s
				time.Sleep(tt.gap)
				c = c.again()
				c.session(c.stream.Participant.SessionID) // of its own, to be changed
				if tt.change != nil {
					tt.change(c)
				}
				c.broadcast(t, r, 30)
				time.Sleep(2 * time.Minute)
				synctest.Wait()

				recs := w.recordings()
				if !tt.merged {
					if len(recs) != 2 || recs[0].Prefix == recs[1].Prefix {
						t.Errorf("recordings: %+v", recs)
					}
					return
				}
				wantTold(t, w, "Recording Start "+first, "Recording End "+first+" "+c.stream.ID)
				rec := recs[0]
				if rec.Duration != 20*time.Second || rec.UserID != "ana" {
					t.Errorf("recording: %+v", rec)
				}
				sessions := slices.Compact([]string{"st-0a1B2c3D4e5F6", c.stream.Participant.SessionID})
				if !slices.Equal(rec.StageSessionIDs, sessions) || !strings.HasPrefix(rec.Prefix, "Qw3rTy7uIoP1/st-0a1B2c3D4e5F6/guestA1b2C3d/") {
					t.Errorf("sessions %q, prefix %s", rec.StageSessionIDs, rec.Prefix)
				}
				if got := entries(wantWhole(t, w, rec)); got != "0 1 |2 3" {
					t.Errorf("entries are %s", got)
				}
			})
		})
	}
}

// Up to a thousand publications are one recording, for up to 48 hours.
func TestParticipantLimits(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newPublisher(60)
		for range maxPublications + 1 {
			c.broadcast(t, r, 1)
			c = c.again()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		recs := w.recordings()
		if len(recs) != 2 || len(recs[0].StreamIDs) != 1000 || len(recs[1].StreamIDs) != 1 {
			t.Errorf("recordings: %+v", recs)
		}
	})
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newPublisher(60)
		take := c.begin(r)
		c.shoot(t, take, 3)
		time.Sleep(48 * time.Hour)
		take.End()
		c.again().broadcast(t, r, 3)
		synctest.Wait()
		if n := len(w.recordings()); n != 2 {
			t.Errorf("%d recordings, want 2", n)
		}
	})
}

// Participants of one stage stay apart, and so do a channel and a stage.
func TestParticipantsApart(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		cameras := []*camera{newCamera(60)}
		for n := range 3 {
			c := newPublisher(60)
			c.stream.Participant.ID = fmt.Sprint("guest", n)
			cameras = append(cameras, c)
		}
		for range 2 {
			var takes []*Take
			for i := range cameras {
				cameras[i] = cameras[i].again()
				takes = append(takes, cameras[i].begin(r))
			}
			for range 30 {
				for i, c := range cameras {
					ch := c.chunk()
					if err := takes[i].Write(ch, c.render(t, ch)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second / 3)
			}
			for _, take := range takes {
				take.End()
			}
			time.Sleep(5 * time.Second)
		}
		if got := r.Waiting(); len(got) != 1 || got[0] != cameras[0].stream.Channel.ARN {
			t.Errorf("channels that wait are %q", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		recs := w.recordings()
		if len(recs) != len(cameras) {
			t.Fatalf("%d recordings, want %d", len(recs), len(cameras))
		}
		for _, rec := range recs {
			if len(rec.StreamIDs) != 2 || rec.Duration != 20*time.Second {
				t.Errorf("recording: %+v", rec)
			}
			wantWhole(t, w, rec)
		}
	})
}

// Recordings that begin in one second have prefixes of their own, also those of
// before a kill.
func TestParticipantPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fail(errNetwork) // all of them stay in the spool
		dir := t.TempDir()
		for want := 2; want <= 6; want += 2 {
			dir = copyTree(t, dir)
			r := open(t, w, dir)
			run(t, r)
			for range 2 {
				c := newPublisher(0)
				take := c.begin(r)
				ch := c.chunk()
				if err := take.Write(ch, c.render(t, ch)); err != nil {
					t.Fatal(err)
				}
				take.End()
			}
			synctest.Wait()
			var prefixes []string
			for _, rec := range r.all {
				prefixes = append(prefixes, rec.Recording.Prefix)
			}
			slices.Sort(prefixes)
			for n, prefix := range prefixes {
				if !strings.HasSuffix(prefix, fmt.Sprintf("/guestA1b2C3d/2000-01-01T00-00-%02dZ", n+1)) {
					t.Errorf("prefix %d of %d is %s", n, want, prefix)
				}
			}
			if len(prefixes) != want {
				t.Errorf("%d recordings, want %d", len(prefixes), want)
			}
		}
	})
}

// So have those of which nothing is left but what the bucket has: of before a
// restart, or of long ago when the clock was set back.
func TestForgottenPrefixes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, dir := newWorld(), t.TempDir()
		for range 3 {
			r := open(t, w, dir)
			stop := run(t, r)
			c := newPublisher(0)
			take := c.begin(r)
			ch := c.chunk()
			if err := take.Write(ch, c.render(t, ch)); err != nil {
				t.Fatal(err)
			}
			take.End()
			synctest.Wait()
			stop()
			if n := len(r.all); n > 0 {
				t.Errorf("%d recordings are not finished", n)
			}
			time.Sleep(time.Second)
		}
		var prefixes []string
		for _, rec := range w.recordings() {
			prefixes = append(prefixes, rec.Prefix[len(rec.Prefix)-3:])
		}
		if !slices.Equal(prefixes, []string{"01Z", "02Z", "03Z"}) {
			t.Errorf("prefixes end with %q", prefixes)
		}
	})
	virtual(t, func(t *testing.T, _ *world, r *Recorder) {
		time.Sleep(time.Minute)
		b, _ := newPublisher(0).stream.Participant.begins()
		at := time.Now()
		first := r.freePrefix(&b, at)
		time.Sleep(2 * time.Hour)
		if again := r.freePrefix(&b, at); again == first {
			t.Errorf("%s is taken again", again)
		}
	})
}

// ReleaseStage ends what waits for the stage's participants, and nothing else; what
// is being recorded ends with its publication.
func TestReleaseStage(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c, other, on := newPublisher(300), newPublisher(300), newPublisher(300)
		other.stream.Participant.Stage += "B"
		on.stream.Participant.ID = "on"
		c.broadcast(t, r, 30)
		other.broadcast(t, r, 30)
		take := on.begin(r)
		on.shoot(t, take, 3)
		if at, ok := c.position(r); !ok || at != c.now {
			t.Errorf("position %d, %v; want %d", at, ok, c.now)
		}
		r.ReleaseStage(stageARN)
		synctest.Wait()
		starts := []string{"Recording Start " + c.stream.ID, "Recording Start " + other.stream.ID, "Recording Start " + on.stream.ID}
		wantTold(t, w, append(starts, "Recording End "+c.stream.ID)...)
		if _, ok := c.position(r); ok {
			t.Error("an ended recording has a position")
		}
		on.shoot(t, take, 3)
		take.End()
		synctest.Wait()
		wantTold(t, w, append(starts, "Recording End "+c.stream.ID, "Recording End "+on.stream.ID)...)
	})
}

// Events say why a recording failed, by a code.
func TestFailureCodes(t *testing.T) {
	put := func(err error) func(int, string) error {
		return func(_ int, call string) error {
			if strings.HasPrefix(call, "put") || strings.HasPrefix(call, "check") {
				return err
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name  string
		start func(w *world, d *disktest.Disk) // before the recording
		later func(w *world, d *disktest.Disk) // when there is media
		told  string
		code  resource.RecordingErrorCode
		why   string // it begins so
	}{
		{"no bucket", func(w *world, _ *disktest.Disk) { w.fault = put(answer(404, "NoSuchBucket")) }, nil,
			resource.RecordingStartFailure, resource.RecordingNoBucket, ""},
		{"no rights", func(w *world, _ *disktest.Disk) { w.fault = put(errDenied()) }, nil,
			resource.RecordingStartFailure, resource.RecordingDenied, "bucket clips must not be written to, access denied"},
		{"no spool", func(_ *world, d *disktest.Disk) { d.SetRoom(0) }, nil,
			resource.RecordingStartFailure, resource.RecordingServerError, "the spool cannot be written: no space left"},
		{"bucket deleted", nil, func(w *world, _ *disktest.Disk) { w.fault = put(answer(404, "NoSuchBucket")) },
			resource.RecordingEndFailure, resource.RecordingNoBucket, "bucket clips does not exist any more"},
		{"disk full", nil, func(_ *world, d *disktest.Disk) { d.SetFault(func(disktest.Op) error { return syscall.ENOSPC }) },
			resource.RecordingEndFailure, resource.RecordingServerError, "the spool cannot be written: no space left"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mishap(t, func(t *testing.T, w *world, d *disktest.Disk, r *Recorder) {
				if tt.start != nil {
					tt.start(w, d)
				}
				c := newPublisher(60)
				take := c.begin(r)
				c.shoot(t, take, 30)
				if tt.later != nil {
					synctest.Wait()
					tt.later(w, d)
				}
				c.shoot(t, take, 3)
				take.End()
				d.SetFault(nil)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if n := len(w.tells); n == 0 || !strings.HasPrefix(w.tells[n-1], tt.told+" ") || len(w.whys) != 1 {
					t.Fatalf("told %q, %+v", w.tells, w.whys)
				}
				if why := w.whys[0]; why.Code != tt.code || why.Reason == "" || !strings.HasPrefix(why.Reason, tt.why) {
					t.Errorf("told %q because of %+v, want %s, %s", w.tells, why, tt.code, tt.why)
				}
				w.fault = nil
			})
		})
	}
}

// What is stored of a participant's recording, in which order: it is announced by
// what shows that the bucket takes anything, each thing is stored once, and nothing
// while the recording waits.
func TestParticipantPuts(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		var mu sync.Mutex
		var calls []string
		w.fault = func(_ int, call string) error {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, call[strings.LastIndexByte(call, '/')+1:])
			return nil
		}
		want := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(calls, want) {
				t.Errorf("%s: %q, want %q", when, calls, want)
			}
			calls = nil
		}
		c := newPublisher(60)
		c.broadcast(t, r, 24)
		time.Sleep(5 * time.Second)
		want("after 8 s", "recording-started.json", "start", "init-0.mp4", "0.mp4", "playlist.m3u8", "multivariant.m3u8", "1.mp4")
		time.Sleep(20 * time.Second)
		want("ten seconds after the first", "playlist.m3u8")
		time.Sleep(30 * time.Second)
		want("while it waits")
		time.Sleep(time.Minute)
		want("at the end", "playlist.m3u8", "describe", "recording-ended.json", "end")
	})
}

// Objects end at the first key frame at or behind the target duration, and none
// lasts longer than twice that, whatever comes.
func TestParticipantObjects(t *testing.T) {
	for _, tt := range []struct {
		name   string
		target int
		gop    int // in chunks of a third of a second
		chunks int
		want   string // durations of the objects
	}{
		{"key frames in time", 6, 18, 60, "6 6 6 2"},
		{"key frames twice as often", 6, 9, 60, "6 6 6 2"},
		{"key frames somewhat late", 6, 20, 60, "6.667 6.666 6.667"},
		{"key frames a little too early", 6, 17, 60, "11.333 8.667"},
		{"no key frames", 6, 1000, 60, "11.333 8.667"},
		{"the shortest", 2, 6, 10, "2 1.333"},
		{"the shortest, no key frames", 2, 1000, 23, "3.333 3.334 1"},
		{"the longest", 10, 30, 70, "10 10 3.333"},
		{"the longest, no key frames", 10, 1000, 120, "19.333 19.334 1.333"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *world, r *Recorder) {
				c := newPublisher(0)
				c.stream.Participant.Recording.HLS.TargetSegmentDurationSeconds = tt.target
				c.gop = tt.gop
				c.broadcast(t, r, tt.chunks)
				synctest.Wait()
				playlist := wantWhole(t, w, w.recordings()[0])
				if want := fmt.Sprintf("#EXT-X-TARGETDURATION:%d\n", 2*tt.target); !strings.Contains(playlist, want) {
					t.Errorf("no %s in\n%s", want, playlist)
				}
				var got []string
				for _, m := range extinf.FindAllStringSubmatch(playlist, -1) {
					seconds, _ := strconv.ParseFloat(m[1], 64)
					got = append(got, fmt.Sprint(seconds))
				}
				if got := strings.Join(got, " "); got != tt.want {
					t.Errorf("objects last %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A stream that is torn off amid reordered pictures lasts until they have been
// shown: within the target duration.
func TestParticipantTornOff(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		for chunks := 30; chunks <= 36; chunks++ { // around 12 s
			c := newPublisher(0)
			c.stream.Participant.ID = fmt.Sprint("guest", chunks)
			c.gop = 1000
			take := c.begin(r)
			for range chunks {
				ch := c.chunk()
				ch.Tail = media.TicksOf(packager.PartTarget, media.VideoRate)
				if err := take.Write(ch, c.render(t, ch)); err != nil {
					t.Fatal(err)
				}
			}
			take.End()
		}
		synctest.Wait()
		for _, rec := range w.recordings() {
			wantWhole(t, w, rec)
		}
	})
}

// Pictures may change every second for a day: of initialization segments that are
// stored nothing stays in memory, nor is anything read back.
func TestParticipantHeadersLetGo(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newPublisher(60)
		take := c.begin(r)
		for n := range 40 {
			c.resize(640, 2*(n+90), 0x1e)
			c.shoot(t, take, 4)
		}
		synctest.Wait()
		for _, of := range []*recording{take.rec, open(t, w, copyTree(t, r.Dir)).spooled(filepath.Base(take.rec.dir))} {
			kept := 0
			of.mu.Lock()
			for _, h := range of.headers[0] {
				kept += len(h.Data)
			}
			if n := len(of.headers[0]); n != 40 || kept > 0 {
				t.Errorf("of %d initialization segments %d bytes are kept", n, kept)
			}
			of.mu.Unlock()
		}
		take.End()
	})
}

// The frame rate is that of what lasts: a picture that the end of a publication cuts
// short tells of none.
func TestParticipantFrameRate(t *testing.T) {
	virtual(t, func(t *testing.T, w *world, r *Recorder) {
		c := newPublisher(0)
		take := c.begin(r)
		c.shoot(t, take, 18)
		last := c.chunk() // begins an object
		last.Duration, last.Video = 900, last.Video[:1]
		last.Video[0].Duration = 900
		if err := take.Write(last, c.render(t, last)); err != nil {
			t.Fatal(err)
		}
		take.End()
		synctest.Wait()
		if master := w.object(w.recordings()[0], "media/hls/multivariant.m3u8"); !strings.Contains(master, ",FRAME-RATE=30.000\n") {
			t.Errorf("multivariant playlist:\n%s", master)
		}
	})
}

// Dates stand at the beginning of a stretch alone, so the durations of its entries
// must add up to where it is, for however long it is.
func TestParticipantDurations(t *testing.T) {
	l := &participantLayout{Target: 6}
	p := playlists{begun: begun{Participant: l}}
	for n := range 28_800 { // two days in objects of 181 frames
		p.objects = append(p.objects, object{N: n, Duration: 181 * 3003, Closed: true, of: []held{{Size: 1}}})
	}
	var sum float64
	for i, m := range extinf.FindAllSubmatch(p.media(&variant{}), -1) {
		seconds, _ := strconv.ParseFloat(string(m[1]), 64)
		sum += seconds
		if want := float64(i+1) * 181 * 3003 / media.VideoRate; math.Abs(sum-want) > 0.0006 {
			t.Fatalf("%d entries last %f s, want %f", i+1, sum, want)
		}
	}
}

// An object of which the spool has lost the media leaves a discontinuity, with the
// date behind it: a playlist of version 7 has no gaps. What is missing of its sound or
// its pictures besides is not told.
func TestParticipantObjectLost(t *testing.T) {
	p := playlists{begun: begun{Participant: &participantLayout{Target: 6}}, final: true}
	zero := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for n, size := range []int64{0, 1, 0, 1, 1} {
		p.objects = append(p.objects, object{
			N: n, Duration: 6 * media.VideoRate, Time: zero.Add(time.Duration(n) * 6 * time.Second), Closed: true, of: []held{{Size: size}},
		})
		if n < 4 {
			p.losses = append(p.losses, lost{n, Loss{media.Audio, p.objects[n].Time, time.Second}})
		}
	}
	loss := func(n int, at string) string {
		return fmt.Sprintf("#EXT-X-DATERANGE:ID=\"loss-%d-audio\",CLASS=\"anabranch.loss\",START-DATE=\"2026-03-01T10:00:%s.000Z\",DURATION=1.000,X-KIND=\"audio\"\n", n, at)
	}
	want := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:12\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n" +
		"#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:06.000Z\n" + loss(1, "06") + "#EXTINF:6.000,\n1.mp4\n" +
		"#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-0.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2026-03-01T10:00:18.000Z\n" + loss(3, "18") + "#EXTINF:6.000,\n3.mp4\n" +
		"#EXTINF:6.000,\n4.mp4\n#EXT-X-ENDLIST\n"
	if got := string(p.media(&variant{})); got != want {
		t.Errorf("playlist is\n%s\nwant\n%s", got, want)
	}
}

// What is told of the codecs suffices for all that came.
func TestWidestCodecs(t *testing.T) {
	for _, tt := range []struct{ was, is, want string }{
		{"", "avc1.42c01f,mp4a.40.2", "avc1.42c01f,mp4a.40.2"},
		{"avc1.42c01f,mp4a.40.2", "avc1.42c01f,mp4a.40.2", "avc1.42c01f,mp4a.40.2"},
		{"avc1.42c01f,mp4a.40.2", "avc1.42c01e,mp4a.40.2", "avc1.42c01f,mp4a.40.2"},
		{"avc1.42c01e,mp4a.40.2", "avc1.640c1f,mp4a.40.2", "avc1.640c1f,mp4a.40.2"},
		{"avc1.640c1f,mp4a.40.2", "avc1.42c033,mp4a.40.2", "avc1.640c33,mp4a.40.2"},
		{"avc1.42C01F", "avc1.42c01e", "avc1.42c01f"},
		{"mp4a.40.2", "mp4a.40.2", "mp4a.40.2"},
		{"mp4a.40.2", "avc1.42c01f,mp4a.40.2", "avc1.42c01f,mp4a.40.2"},
		{"avc1.42c01f,mp4a.40.2", "mp4a.40.2", "avc1.42c01f,mp4a.40.2"},
	} {
		if got := widest(tt.was, tt.is); got != tt.want {
			t.Errorf("%q and %q are %q, want %q", tt.was, tt.is, got, tt.want)
		}
	}
}

// A recording that the ledger has ended is over since then, even if the power goes at
// that moment: the file in the bucket tells of the same time.
func TestEndedBeforePowerCut(t *testing.T) {
	trials(t, 8, func(t *testing.T, seed uint64) {
		s := newStage(t, seed)
		s.camera = newPublisher(30)
		s.world.after = func(_ int, call string) error {
			if call == "end" && !s.dead.Swap(true) {
				s.disk.SetFault(func(disktest.Op) error { return disktest.ErrStopped })
			}
			return nil
		}
		s.run(func() {
			s.camera.broadcast(t, s.recorder, 20)
			time.Sleep(time.Minute)
		})
		s.stop(true)
		s.world.after = nil
		time.Sleep(time.Minute)
		s.run(func() { time.Sleep(time.Minute) })
		rec := s.world.recordings()[0]
		want := `"recording_ended_at":"` + rec.EndedAt.UTC().Format(time.RFC3339) + `"`
		if ended := s.world.object(rec, "events/recording-ended.json"); !strings.Contains(ended, want) {
			t.Errorf("no %s in %s", want, ended)
		}
	})
}
