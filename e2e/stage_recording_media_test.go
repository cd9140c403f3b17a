package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"anabranch/e2e/hls"
)

// Pictures of another size begin a new piece of at least a second, from one
// picture to the next, and Chromium plays across.
func recordSizes(t *testing.T, s *server) {
	sizes := []scene{
		{width: 320, height: 180, bitrate: 260_000, beats: true},
		{width: 640, height: 360, bitrate: 500_000, beats: true, piece: 1},
		{width: 480, height: 270, bitrate: 300_000, beats: true, piece: 2},
		{width: 320, height: 180, bitrate: 260_000, beats: true, piece: 3},
	}
	for _, f := range sizes {
		if _, err := f.tape(); err != nil { // before time runs
			t.Fatal(err)
		}
	}
	r := s.newRecordedRoom(nil)
	ana := r.guest()
	out := ana.publish(sizes[0])
	for i, f := range sizes[1:] {
		out.waitSent(time.Duration(i+1) * 4500 * time.Millisecond)
		out.change(f)
	}
	one := out.leave(18*time.Second, 1)[0]
	p := one.check(t)
	pieces := one.stretches(t, p)
	if len(pieces) != len(sizes) {
		t.Fatalf("it is in %d pieces:\n%s", len(pieces), p.Text)
	}
	for i, f := range sizes {
		rhythm := pieces[i].rhythm()
		t.Logf("%v; %v", &pieces[i].sight, rhythm)
		rhythm.inStep(t, 2)
		if pieces[i].width != f.width || pieces[i].height != f.height || rhythm.missing > 0 {
			t.Errorf("piece %d is %v: %v", i, &pieces[i].sight, rhythm)
		}
	}
	for _, segment := range p.Segments[:len(p.Segments)-1] {
		if segment.Duration < time.Second {
			t.Errorf("%s lasts %v", segment.URI, segment.Duration)
		}
	}
	checkDates(t, pieces)
	playTake(t, one, p, pieces)
}

// checkDates checks that pieces follow each other by their dates as they do by
// their media.
func checkDates(t testing.TB, pieces []stretch) {
	t.Helper()
	for i := range pieces[1:] {
		if gap := pieces[i+1].at.Sub(pieces[i].at) - pieces[i].lasts; gap.Abs() > 20*time.Millisecond {
			t.Errorf("piece %d lasts %v, and the next begins %v after its end", i, pieces[i].lasts, gap)
		}
	}
}

// playTake plays a recording in Chromium, by hls.js.
func playTake(t *testing.T, r take, p *hls.Playlist, pieces []stretch) {
	t.Helper()
	var shown shotList
	began := 0.0
	for _, s := range pieces {
		for _, p := range s.pictures {
			if p.number >= 0 {
				shown = append(shown, showing{began + float64(p.at)/ticks, shot{p.number / shotNumbers, p.number % shotNumbers}})
			}
		}
		began += s.lasts.Seconds()
	}
	root := strings.TrimSuffix(r.dir, r.prefix)
	watchChromium(t, "hls", fmt.Sprintf("%s/%s/media/hls/multivariant.m3u8", serveBucket(t, root), r.prefix), p, shown)
}

// Who is muted is silent, and whose camera is off stands still. Sound and
// pictures that come back are in step, and in the same piece.
func recordMute(t *testing.T, s *server) {
	r := s.newRecordedRoom(nil)
	ana := r.guest()
	out := ana.publish(beats)
	const still, lasts = 5 * time.Second, 3500 * time.Millisecond // the latter is what a picture may, before it is shown anew
	out.waitSent(3 * time.Second)
	out.mute("audio")
	out.waitSent(6 * time.Second)
	out.unmute("audio")
	out.waitSent(9 * time.Second)
	out.mute("video")
	muted := len(out.layers[0].list("audio"))
	eventually(t, 30*time.Second, "sound has been sent alone", func() error {
		if n := len(out.layers[0].list("audio")) - muted; time.Duration(n)*opusFrame < still {
			return fmt.Errorf("%d packets have", n)
		}
		return nil
	})
	out.unmute("video")
	one := out.leave(16*time.Second, 1)[0]
	pieces := one.stretches(t, one.check(t))
	if len(pieces) != 1 {
		t.Fatalf("it is in %d pieces", len(pieces))
	}
	now := pieces[0].rhythm()
	t.Logf("%v; %v", &pieces[0].sight, now)
	now.inStep(t, 5)
	if beeps := len(pieces[0].beeps); beeps < 11 || beeps > 13 {
		t.Errorf("%d beeps of 16, three of which were muted, are heard", beeps)
	}
	if now.missing < int(still.Seconds()-1)*tapeRate || now.missing > int(still.Seconds()+2)*tapeRate {
		t.Errorf("the camera was off for %v: %v", still, now)
	}
	for i, p := range pieces[0].pictures[1:] {
		if step := duration(p.at - pieces[0].pictures[i].at); step > lasts {
			t.Errorf("a picture lasts %v", step)
		}
	}
}

// Who publishes but one kind is recorded with both: silence, or black pictures.
func recordSoundAlone(t *testing.T, s *server) {
	r := s.newRecordedRoom(nil)
	all := r.guests(2)
	sound := all[0].publish(beats, peerOptions{kinds: []string{"audio"}})
	pictures := all[1].publish(beats, peerOptions{kinds: []string{"video"}})
	heard := sound.leave(7*time.Second, 1)[0]
	seen := pictures.leave(7*time.Second, 1)[0]

	pieces := heard.stretches(t, heard.check(t))
	t.Logf("%v", &pieces[0].sight)
	if len(pieces) != 1 || len(pieces[0].beeps) < 6 || pieces[0].width == 0 {
		t.Errorf("sound alone is %d pieces with %d beeps: %v", len(pieces), len(pieces[0].beeps), &pieces[0].sight)
	}
	for i, b := range pieces[0].beeps[1:] {
		if step := duration(b - pieces[0].beeps[i]); (step - time.Second).Abs() > 10*time.Millisecond {
			t.Errorf("beeps are %v apart", step)
		}
	}
	for _, p := range pieces[0].pictures {
		if p.number >= 0 {
			t.Errorf("a black picture at %.3f s tells the number %d", float64(p.at)/ticks, p.number)
		}
	}
	pieces = seen.stretches(t, seen.check(t))
	now := pieces[0].rhythm()
	t.Logf("%v; %v", &pieces[0].sight, now)
	if len(pieces) != 1 || len(pieces[0].beeps) > 0 || now.missing > 0 || now.pictures < 6*tapeRate {
		t.Errorf("pictures alone are %d pieces with %d beeps: %v", len(pieces), len(pieces[0].beeps), now)
	}
}

// A stage may want sound alone, or thumbnails alone.
func recordMediaTypes(t *testing.T, s *server) {
	still := settings{"recordingMode": "INTERVAL", "targetIntervalSeconds": 1, "storage": []string{"LATEST"}}
	sound := s.newRecordedRoom(settings{"mediaTypes": []string{"AUDIO_ONLY"}, "thumbnailConfiguration": still}).guest()
	stills := s.newRecordedRoom(settings{"mediaTypes": []string{"NONE"}, "thumbnailConfiguration": still}).guest()
	fromSound, fromStills := sound.publish(beats), stills.publish(beats)
	heard := fromSound.leave(6*time.Second, 1)[0]
	seen := fromStills.leave(6*time.Second, 1)[0]

	p := heard.check(t)
	pieces := heard.stretches(t, p)
	t.Logf("%v", &pieces[0].sight)
	if len(pieces) != 1 || len(pieces[0].pictures) > 0 || len(pieces[0].beeps) < 5 || pieces[0].audioCodec != "aac" {
		t.Errorf("AUDIO_ONLY is %d pieces: %v", len(pieces), &pieces[0].sight)
	}
	if text := string(heard.read(t, heard.dir, "media/hls/multivariant.m3u8")); strings.Contains(text, "avc1") || strings.Contains(text, "RESOLUTION") || !strings.Contains(text, "mp4a.40.2") {
		t.Errorf("AUDIO_ONLY is told as\n%s", text)
	}
	if p := seen.check(t); p != nil {
		t.Errorf("NONE has\n%s", p.Text)
	}
	for _, one := range []take{heard, seen} {
		m := one.told(t, "recording-ended.json")
		if m.Media.Latest == nil || m.Media.Thumbnails != nil || m.Media.Latest.Path != "media/latest_thumbnail" {
			t.Errorf("%s tells of thumbnails: %+v", one.prefix, m.Media)
		}
		thumbnail(t, one.read(t, one.dir, "media/latest_thumbnail/high/thumb.jpg"), 320, 180)
	}
}

// Where nothing is to be kept nothing is recorded.
func recordNothing(t *testing.T, s *server) {
	for _, r := range []*room{s.newRoom(), s.newRecordedRoom(settings{"mediaTypes": []string{"NONE"}})} {
		ana := r.guest()
		out := ana.publish(beats)
		out.waitSent(2 * time.Second)
		if p := ana.participant(r.session()); p.RecordingState != types.ParticipantRecordingStateDisabled || p.RecordingS3Prefix != nil && *p.RecordingS3Prefix != "" {
			t.Errorf("the API tells of a recording: %+v", *p)
		}
		out.hangUp()
		out.stop()
		if all := ana.takes(); len(all) > 0 {
			t.Errorf("there are %v", all)
		}
	}
}

// What clients that others made publish is recorded, with sound and pictures in
// step.
func recordClients(t *testing.T, s *server) {
	file := filepath.Join(t.TempDir(), "film.mkv")
	if _, err := ffmpegOutput(file, "-f", "lavfi", "-i", beats.picture(), "-f", "lavfi", "-i", beats.sound(),
		"-t", "30", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "30", "-b:v", "250k",
		"-c:a", "libopus", "-b:a", "32k"); err != nil {
		t.Fatal(err)
	}
	r := s.newRecordedRoom(nil)
	var all []*guest
	var sending []*client
	clients := []string{"gstreamer.py", "aiortc.py"}
	for _, script := range clients {
		g := r.guest()
		all, sending = append(all, g), append(sending, startClient(t, script, "publish", g.publishURL(), g.token, "60", file))
	}
	for i, g := range all {
		g.waitStored(4)
		sending[i].stop()
	}
	for i, g := range all {
		one := g.waitTakes(1)[0]
		p := one.check(t)
		for n, piece := range one.stretches(t, p) {
			now := piece.rhythm()
			t.Logf("%s, piece %d: %v; %v", clients[i], n, &piece.sight, now)
			// Their clocks are not exact where the machine is busy.
			if off := now.skews.mean(); now.beats < 4 || off > skew.Seconds() || off < -skew.Seconds() {
				t.Errorf("%s: sound and pictures are apart: %v", clients[i], now)
			}
		}
		if loss := lossesOf(p); len(loss) > 0 {
			t.Errorf("%s: losses are told: %v", clients[i], loss)
		}
		decode(t, one.multivariant())
	}
}
