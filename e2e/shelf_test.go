package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// recordingCommand runs `anabranch recording`, as an operator does beside the
// server.
func (s *server) recordingCommand(args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(s.t.Context(), program, append([]string{"--data-dir", s.dir, "recording"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("anabranch recording %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), err
}

// listed is a recording as `anabranch recording list --json` prints it.
type listed struct {
	ID                   string
	State                string
	Bucket, Prefix       string
	StreamIDs            []string
	Duration             float64
	Fragments            int
	PlaybackURL          string
	ByteRangePlaybackURL string
	Renditions           []struct {
		Name          string
		Width, Height int
		PlaybackURL   string
	}
	ThumbnailURL string
}

// shelf lists the server's recordings.
func (s *server) shelf(args ...string) (all []listed) {
	s.t.Helper()
	out, err := s.recordingCommand(append([]string{"list", "--json"}, args...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var r listed
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// wholeRecording verifies a recording deeply and wants no problem.
func (s *server) wholeRecording(id string) {
	s.t.Helper()
	if out, err := s.recordingCommand("verify", "--deep", id); err != nil || !strings.Contains(out, " whole: ") {
		s.t.Errorf("%v\n%s", err, out)
	}
}

// A recording with a join, made by the server's death, is listed, verified and
// exported: while it goes on as far as it is, and afterwards as a whole. What is
// done to it in the bucket is found.
func TestShelf(t *testing.T) {
	bFrames := testPicture()
	bFrames.bFrames = 2
	for _, tt := range []struct {
		name    string
		format  types.ContainerFormat
		picture picture
		breaks  breakage
	}{
		{"TS, server killed", types.ContainerFormatTs, testPicture(), killServerOnAir},
		{"fMP4, publisher killed, B-frames", types.ContainerFormatFragmentedMP4, bFrames, killPublisher},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			c := s.newRecordedChannel(60*time.Second, func(in *ivs.CreateChannelInput) { in.ContainerFormat = tt.format })
			first := publish(t, c.rtmp(), tt.picture)
			first.waitSent(12 * time.Second)
			stream := c.waitLive()

			var going listed
			eventually(t, 10*time.Second, "there is something to play", func() error {
				if going = s.shelf("--channel", c.id())[0]; going.PlaybackURL == "" {
					return errors.New("there is not")
				}
				return nil
			})
			if going.State != "RECORDING_STARTED" || !slices.Equal(going.StreamIDs, []string{stream}) || going.Duration < 11 || going.Fragments != 1 {
				t.Errorf("while it goes on: %+v", going)
			}
			s.wholeRecording(going.ID)
			soFar := filepath.Join(t.TempDir(), "so far.mp4")
			if out, err := s.recordingCommand("export", going.ID, "-o", soFar); err != nil || !strings.Contains(out, "so far") {
				t.Errorf("export while it goes on: %s, %v", out, err)
			} else if frames := decode(t, soFar); frames < 10*30 {
				t.Errorf("export while it goes on has %d pictures", frames)
			}

			tt.breaks(s, first)
			c.waitOffline()
			s.wholeRecording(going.ID)
			second := publish(t, c.rtmp(), tt.picture)
			second.waitSent(6 * time.Second)
			streams := []string{stream, c.waitLive()}
			second.quit()
			c.waitOffline()
			c.endRecording()
			r := c.waitRecordings(1)[0]
			p := r.check(t)

			var ended listed
			eventually(t, 5*time.Second, "it is told to be complete", func() error {
				if all := s.shelf("--state", "ended"); len(all) == 1 {
					ended = all[0]
					return nil
				}
				return errors.New("it is not")
			})
			if ended.ID != going.ID || ended.Prefix != r.prefix || !slices.Equal(ended.StreamIDs, streams) || ended.Fragments != 2 ||
				math.Abs(ended.Duration-p.Duration().Seconds()) > 0.01 || len(s.shelf("--state", "failed")) > 0 {
				t.Errorf("at the end: %+v", ended)
			}
			s.wholeRecording(ended.ID)
			checkExport(t, s, ended, r)
			checkPlayback(t, ended)
			checkDamage(t, s, ended)
		})
	}
}

// checkExport checks that an export has what the recording has, sound and
// picture in step, and that it replaces nothing unless told to.
func checkExport(t *testing.T, s *server, of listed, r recording) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "whole.mp4")
	if _, err := s.recordingCommand("export", of.ID, "--output", file); err != nil {
		t.Fatal(err)
	}
	pictures := decode(t, file)
	video, audio := timing(t, file, "v:0"), timing(t, file, "a:0")
	theirs, heard := timing(t, r.master(), "v:0"), timing(t, r.master(), "a:0")
	t.Logf("exported %d pictures: video %v, audio %v", pictures, video, audio)
	if video.packets != theirs.packets || pictures != theirs.packets || audio.packets != heard.packets {
		t.Errorf("the export has %d pictures and %d audio frames, the recording %d and %d", video.packets, audio.packets, theirs.packets, heard.packets)
	}
	if math.Abs(video.end-video.start-of.Duration) > 0.1 || video.widest > 0.25 || math.Abs(video.start-audio.start) > 0.04 {
		t.Errorf("the recording lasts %v s; the export: video %v, audio %v", of.Duration, video, audio)
	}

	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.recordingCommand("export", of.ID, "-o", file); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over a file: %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file was replaced: %d bytes, %v", len(text), err)
	}
	if _, err := s.recordingCommand("export", of.ID, "-o", file, "--force"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v, %v", left, err)
	}
}

// checkPlayback plays a recording from the server, as a page does.
func checkPlayback(t *testing.T, of listed) {
	t.Helper()
	for _, url := range []string{of.PlaybackURL, of.ByteRangePlaybackURL} {
		if frames := decode(t, url); frames < int(of.Duration*30)-30 {
			t.Errorf("%s has %d pictures", url, frames)
		}
	}
	stale := strings.Replace(of.PlaybackURL, "/media/hls/", "/events/", 1)
	resp, err := http.Get(stale)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s answered %s", stale, resp.Status)
	}
}

// checkDamage does something to a recording, has it found, and undoes it.
func checkDamage(t *testing.T, s *server, of listed) {
	t.Helper()
	rendition := of.Prefix + "/media/hls/360p30/"
	media, playlist := rendition+"1.ts", rendition+"playlist.m3u8"
	if exists(s, rendition+"1.mp4") {
		media = rendition + "1.mp4"
	}
	edit := func(from, to string) func([]byte) []byte {
		return func(text []byte) []byte { return bytes.Replace(text, []byte(from), []byte(to), 1) }
	}
	for _, tt := range []struct {
		key    string
		damage func([]byte) []byte // nil: it goes
		deep   bool
		want   string
	}{
		{media, nil, false, "object-missing"},
		{media, func(b []byte) []byte { return b[:len(b)-188] }, false, "object-size"},
		{media, func(b []byte) []byte { return append(b[:0:0], make([]byte, len(b))...) }, true, "media-broken"},
		{rendition + "9.ts", func([]byte) []byte { return []byte("x") }, false, "object-foreign"},
		{of.Prefix + "/virus.exe", func([]byte) []byte { return []byte("x") }, false, "object-foreign"},
		{playlist, edit("#EXT-X-ENDLIST\n", ""), false, "playlist-end"},
		{playlist, edit("#EXT-X-DISCONTINUITY\n", ""), false, "playlist-mismatch"},
		{playlist, edit("#EXTINF:1", "#EXTINF:2"), false, "playlist-mismatch"},
		{playlist, edit("\n0.", "\n7."), false, "playlist-mismatch"},
		{playlist, edit("\n0.", "\n../../x."), false, "playlist-invalid"},
		{playlist, nil, false, "playlist-missing"},
		{of.Prefix + "/media/hls/master.m3u8", edit("playlist.m3u8", "other.m3u8"), false, "playlist-mismatch"},
		{of.Prefix + "/events/recording-ended.json", nil, false, "metadata-missing"},
		{of.Prefix + "/events/recording-ended.json", edit(`"duration_ms":`, `"duration_ms":1`), false, "duration-mismatch"},
		{of.Prefix + "/events/recording-failed.json", func([]byte) []byte {
			return []byte(`{"recording_status":"RECORDING_ENDED_WITH_FAILURE"}`)
		}, false, "state-mismatch"},
	} {
		before := s.object(tt.key)
		if tt.damage == nil {
			s.removeObject(tt.key)
		} else {
			s.putObject(tt.key, tt.damage(slices.Clone(before)))
		}
		args := []string{"verify", of.ID}
		if tt.deep {
			args = append(args, "--deep")
		}
		out, err := s.recordingCommand(args...)
		if err == nil || !strings.Contains(err.Error(), "1 of 1 recordings have problems") || !strings.Contains(out, tt.want) {
			t.Errorf("%s, want %s: %v\n%s", strings.TrimPrefix(tt.key, of.Prefix), tt.want, err, out)
		}
		if before == nil {
			s.removeObject(tt.key)
		} else {
			s.putObject(tt.key, before)
		}
	}
	if out, err := s.recordingCommand("verify", "--all", "--deep"); err != nil {
		t.Errorf("when all is undone: %v\n%s", err, out)
	}
}

func exists(s *server, key string) bool { return s.object(key) != nil }

// object is the content of an object, nil when there is none.
func (s *server) object(key string) []byte {
	s.t.Helper()
	got, err := s.s3().GetObject(s.t.Context(), &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(key)})
	if err != nil {
		return nil
	}
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return content
}

func (s *server) putObject(key string, content []byte) {
	s.t.Helper()
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: aws.String(key), Body: bytes.NewReader(content)}
	if _, err := s.s3().PutObject(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) removeObject(key string) {
	s.t.Helper()
	in := &s3.DeleteObjectInput{Bucket: &s.bucket, Key: aws.String(key)}
	if _, err := s.s3().DeleteObject(s.t.Context(), in); err != nil {
		s.t.Fatal(err)
	}
}

// The commands say what is wrong, and leave the data folder as it is.
func TestRecordingCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	refused := func(want string, args ...string) {
		t.Helper()
		if out, err := s.recordingCommand(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q; printed %q", args, err, want, out)
		}
	}
	if out, err := s.recordingCommand("list"); err != nil || !strings.HasPrefix(out, "ID ") || strings.Count(out, "\n") != 1 {
		t.Errorf("an empty list: %v, %q", err, out)
	}
	if out, err := s.recordingCommand("verify", "--all"); err != nil || out != "" {
		t.Errorf("verify nothing: %v, %q", err, out)
	}
	refused("not found", "verify", "000000000000")
	refused("id: length", "verify", "x")
	refused("not found", "export", "000000000000", "-o", filepath.Join(t.TempDir(), "x.mp4"))
	refused("either ids or --all", "verify")
	refused("either ids or --all", "verify", "--all", "000000000000")
	refused("channel: must match", "list", "--channel", "a/b")
	refused("from: must be a time", "list", "--from", "yesterday")
	refused("is not an http or https URL", "--endpoint", "localhost", "list")
	refused("is a folder", "export", "000000000000", "-o", t.TempDir())

	// By its URL, with what the AWS CLI needs.
	cmd := exec.CommandContext(t.Context(), program, "recording", "--endpoint", "http://"+s.at.HTTP, "list")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE="+s.credentials(), "AWS_REGION="+region)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ID ") {
		t.Errorf("by URL: %v, %q", err, out)
	}
	cmd = exec.CommandContext(t.Context(), program, "recording", "--endpoint", "http://"+s.at.HTTP, "list")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=AKIDX", "AWS_SECRET_ACCESS_KEY=wrong", "AWS_REGION="+region)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "unknown access key") {
		t.Errorf("with a wrong key: %v, %q", err, out)
	}

	s.kill()
	refused("no server answers at http://"+s.at.HTTP, "list") // endpoints.json is still there
	s.start()
	s.stop()
	before := folder(t, s.dir)
	refused("no server runs on the data folder", "list")
	if after := folder(t, s.dir); !slices.Equal(after, before) {
		t.Errorf("the data folder held %v, and then %v", before, after)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	refused("no server runs on the data folder", "--data-dir", nowhere, "list")
	if _, err := os.Stat(nowhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a data folder was made: %v", err)
	}
}

// folder lists what a folder holds, with times.
func folder(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(e.Name(), info.ModTime(), info.Size()))
	}
	return names
}
