package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const recordingID = "00000000000a"

// shelfServer answers as a server with one recording of three objects.
type shelfServer struct {
	*httptest.Server
	t       *testing.T
	tokens  atomic.Int32 // asked for
	object  http.HandlerFunc
	state   string
	content map[string]string // by name
}

func newShelfServer(t *testing.T) *shelfServer {
	s := &shelfServer{t: t, state: "RECORDING_STARTED", content: map[string]string{
		"master.m3u8":          "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n720p30/playlist.m3u8\n",
		"720p30/playlist.m3u8": "#EXTM3U\n#EXTINF:10.5,\n0.ts\n#EXTINF:10,\n1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\n2.ts\n",
		"720p30/0.ts":          "zero", "720p30/1.ts": "one", "720p30/2.ts": "two",
	}}
	s.object = func(w http.ResponseWriter, r *http.Request) { s.send(w, r) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/recordings/{id}", func(w http.ResponseWriter, r *http.Request) {
		url, ranges := "", ""
		if r.PathValue("id") == recordingID {
			url = fmt.Sprintf("https://elsewhere.example.com/below/recordings/media/token%d/media/hls/master.m3u8", s.tokens.Add(1))
		}
		if s.state != "RECORDING_STARTED" {
			ranges = url
		}
		fmt.Fprintf(w, `{"recording":{"id":%q,"state":%q,"playbackUrl":%q,"byteRangePlaybackUrl":%q}}`, r.PathValue("id"), s.state, url, ranges)
	})
	mux.HandleFunc("GET /recordings/media/{token}/media/hls/{name...}", func(w http.ResponseWriter, r *http.Request) { s.object(w, r) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *shelfServer) send(w http.ResponseWriter, r *http.Request) {
	content, ok := s.content[r.PathValue("name")]
	if !ok {
		http.Error(w, `{"message":"no such object"}`, http.StatusNotFound)
		return
	}
	http.ServeContent(w, r, "x", time.Time{}, strings.NewReader(content))
}

// export runs the command, with an ffmpeg that copies what it is fed.
func (s *shelfServer) export(ctx context.Context, ffmpeg string, e RecordingExport) error {
	s.t.Helper()
	bin := s.t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ffmpeg"), []byte("#!/bin/sh\nfor out; do :; done\n"+ffmpeg+"\n"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.t.Setenv("PATH", bin+":/usr/bin:/bin")
	s.t.Setenv("ANABRANCH_ACCESS_KEY_ID", "AKID")
	s.t.Setenv("ANABRANCH_SECRET_ACCESS_KEY", "a secret")
	s.t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	var grammar struct{ Config }
	if _, err := Parse(&grammar, nil); err != nil {
		s.t.Fatal(err)
	}
	return e.Run(ctx, &grammar.Config, &Recording{Endpoint: s.URL})
}

// copying writes a movie without tracks, and what it is fed.
const (
	copying = `out="${out#file:}"; { printf '\0\0\0\010moov\0\0\0\0mdat'; cat; } > "$out"; size=$(($(wc -c < "$out") - 8)); printf "\\0\\0\\0\\$(printf %o $size)" | dd of="$out" bs=1 seek=8 conv=notrunc 2> /dev/null`
	copied  = "\x00\x00\x00\x08moov\x00\x00\x00\x12mdat"
)

// The objects are fed in their order, as one stream; what breaks off goes on
// where it was, and a playback URL that expired is replaced by a new one.
func TestExport(t *testing.T) {
	s := newShelfServer(t)
	var hiccups atomic.Int32
	s.object = func(w http.ResponseWriter, r *http.Request) {
		switch n := hiccups.Add(1); {
		case r.PathValue("name") == "720p30/1.ts" && n == 4:
			w.Header().Set("Content-Length", "3")
			fmt.Fprint(w, "o")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case r.PathValue("name") == "720p30/2.ts" && r.PathValue("token") == "token1":
			http.Error(w, `{"message":"expired"}`, http.StatusForbidden)
		default:
			s.send(w, r)
		}
	}
	folder := t.TempDir()
	out := filepath.Join(folder, "x.mp4")
	if err := s.export(t.Context(), copying, RecordingExport{ID: recordingID, Output: out}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out); string(text) != copied+"zeroonetwo" {
		t.Errorf("wrote %q, %v", text, err)
	}
	holds(t, folder, "x.mp4")
}

// The best rendition is exported unless another one is asked for. Where it has
// holes, what is there is fed, and they are told; those within objects too, once
// the recording is over.
func TestExportRendition(t *testing.T) {
	s := newShelfServer(t)
	s.content["master.m3u8"] = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\n720p30/playlist.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=1\n160p30/playlist.m3u8\n"
	s.content["160p30/playlist.m3u8"] = "#EXTM3U\n#EXT-X-GAP\n#EXTINF:10.5,\n0.ts\n#EXTINF:10,\n1.ts\n#EXT-X-GAP\n#EXTINF:4,\n2.ts\n"
	s.content["160p30/byte-range-variant.m3u8"] = "#EXTM3U\n#EXT-X-GAP\n#EXTINF:10.5,\n0.ts\n#EXT-X-GAP\n#EXTINF:2,\n1.ts\n" +
		"#EXTINF:8,\n#EXT-X-BYTERANGE:5@0\n1.ts\n#EXT-X-GAP\n#EXTINF:4,\n2.ts\n"
	s.content["720p30/byte-range-variant.m3u8"] = "#EXTM3U\n#EXTINF:10.5,\n#EXT-X-BYTERANGE:5@0\n0.ts\n"
	s.content["160p30/1.ts"] = "small"
	for _, tt := range []struct {
		rendition, state string
		fed, says        string
		leap             string
	}{
		{"", "RECORDING_ENDED", "zeroonetwo", "25s of 720p30", "10"},
		{"720p30", "RECORDING_ENDED", "zeroonetwo", "25s of 720p30", "10"},
		{"160p30", "RECORDING_STARTED", "small", "25s of 160p30 so far; the recording goes on; 14.5s of it are missing, where the rendition has holes", "25"},
		{"160p30", "RECORDING_ENDED", "small", "25s of 160p30; 16.5s of it are missing, where the rendition has holes", "27"},
	} {
		s.state = tt.state
		folder := t.TempDir()
		out, args := filepath.Join(folder, "x.mp4"), filepath.Join(t.TempDir(), "args")
		s.t.Setenv("ARGS", args)
		said, err := printed(t, func() error {
			return s.export(t.Context(), `echo "$@" > "$ARGS"; `+copying, RecordingExport{ID: recordingID, Output: out, Rendition: tt.rendition})
		})
		if err != nil || said != out+": "+tt.says+"\n" {
			t.Errorf("%s: said %q, %v", tt.rendition, said, err)
		}
		if text, err := os.ReadFile(out); err != nil || !strings.HasSuffix(string(text), "mdat"+tt.fed) {
			t.Errorf("%s: wrote %q, %v", tt.rendition, text, err)
		}
		if text, err := os.ReadFile(args); err != nil || !strings.Contains(string(text), "-dts_delta_threshold "+tt.leap+" ") {
			t.Errorf("%s: ffmpeg got %s, %v", tt.rendition, text, err)
		}
	}
	err := s.export(t.Context(), copying, RecordingExport{ID: recordingID, Output: filepath.Join(t.TempDir(), "x.mp4"), Rendition: "1080p60"})
	if err == nil || err.Error() != "recording "+recordingID+" has no rendition 1080p60; it has 720p30, 160p30" {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if err := s.export(t.Context(), copying, RecordingExport{ID: recordingID, Rendition: "160p30"}); err != nil {
		t.Error(err)
	}
	holds(t, ".", recordingID+"-160p30.mp4")
}

// printed is what f prints.
func printed(t *testing.T, f func() error) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	err = f() // which says less than a pipe holds
	os.Stdout = stdout
	w.Close()
	text, failed := io.ReadAll(r)
	if failed != nil {
		t.Fatal(failed)
	}
	return string(text), err
}

// Whatever goes wrong, nothing is left behind.
func TestExportFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ffmpeg string
		id     string
		breaks func(*shelfServer, context.CancelFunc)
		want   string
	}{
		{"told to stop", copying, recordingID, func(s *shelfServer, stop context.CancelFunc) {
			s.object = func(w http.ResponseWriter, r *http.Request) {
				if r.PathValue("name") == "720p30/1.ts" {
					stop()
					<-r.Context().Done()
				}
				s.send(w, r)
			}
		}, context.Canceled.Error()},
		{"told to stop while ffmpeg works", copying + `; : > "$FED"; exec sleep 60`, recordingID, func(s *shelfServer, stop context.CancelFunc) {
			fed := filepath.Join(s.t.TempDir(), "fed")
			s.t.Setenv("FED", fed)
			go func() {
				for ; s.t.Context().Err() == nil; time.Sleep(time.Millisecond) {
					if _, err := os.Stat(fed); err == nil {
						stop()
						return
					}
				}
			}()
		}, "ffmpeg: signal: killed"},
		{"an object is missing", copying, recordingID, func(s *shelfServer, _ context.CancelFunc) { delete(s.content, "720p30/1.ts") }, "read 1.ts: no such object"},
		{"a playlist is missing", copying, recordingID, func(s *shelfServer, _ context.CancelFunc) { delete(s.content, "720p30/playlist.m3u8") }, "read playlist"},
		{"no objects", copying, recordingID, func(s *shelfServer, _ context.CancelFunc) { s.content["720p30/playlist.m3u8"] = "#EXTM3U\n" }, "names no objects"},
		{"an odd object", copying, recordingID, func(s *shelfServer, _ context.CancelFunc) {
			s.content["720p30/playlist.m3u8"] = "#EXTM3U\nhttp://169.254.169.254/latest\n"
		}, "is not the name of an object"},
		{"ffmpeg refuses", "echo torn >&2; exit 1", recordingID, nil, "torn"},
		{"ffmpeg refuses in the end", copying + "; echo torn >&2; exit 1", recordingID, nil, "ffmpeg: exit status 1: torn"},
		{"the disk is full in the end", copying + `; truncate -s -1 "$out"`, recordingID, nil, "torn file"},
		{"the disk is full before the movie", copying + `; printf '\0\0\0\010free' | dd of="$out" bs=1 conv=notrunc 2> /dev/null`, recordingID, nil, "without a movie"},
		{"no media", copying, "00000000000b", nil, "has no media yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newShelfServer(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if tt.breaks != nil {
				tt.breaks(s, stop)
			}
			folder := t.TempDir()
			err := s.export(ctx, tt.ffmpeg, RecordingExport{ID: tt.id, Output: filepath.Join(folder, "x.mp4")})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			holds(t, folder)
		})
	}
}

// A file is not replaced, not even one that appears meanwhile.
func TestExportReplaces(t *testing.T) {
	s := newShelfServer(t)
	folder := t.TempDir()
	out := filepath.Join(folder, "x.mp4")
	appears := copying + "; echo mine > " + out
	if err := s.export(t.Context(), appears, RecordingExport{ID: recordingID, Output: out}); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over a file that appeared: %v", err)
	}
	if text, err := os.ReadFile(out); string(text) != "mine\n" {
		t.Errorf("it became %q, %v", text, err)
	}
	if err := s.export(t.Context(), copying, RecordingExport{ID: recordingID, Output: out, Force: true}); err != nil {
		t.Error(err)
	}
	holds(t, folder, "x.mp4")
	s.t.Setenv("PATH", t.TempDir())
	err := (&RecordingExport{ID: recordingID}).Run(t.Context(), &Config{}, &Recording{Endpoint: s.URL})
	if err == nil || !strings.Contains(err.Error(), "apt install ffmpeg") {
		t.Errorf("without ffmpeg: %v", err)
	}
}

func holds(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the folder holds %v, %v; want %v", names, err, want)
	}
}

// What a server tells is printed as words, never as a terminal's commands.
func TestListPrint(t *testing.T) {
	pages := []string{
		`{"recordings":[{"id":"a","channelArn":"arn:aws:ivs:r:1:channel/ch","channelName":"studio","state":"RECORDING_STARTED","startedAt":"2026-03-01T12:00:00Z","duration":3725.4,"fragments":2}],"nextToken":"more"}`,
		`{"recordings":[{"id":"b","channelArn":"arn:aws:ivs:r:1:channel/ch","state":"RECORDING_ENDED","startedAt":"2026-03-01T11:00:00Z","renditions":[{"name":"720p60","width":1280},{"name":"audio_only"}]},` +
			`{"id":"c","channelArn":"arn:aws:ivs:r:1:channel/ch","state":"RECORDING_ENDED_WITH_FAILURE","statusMessage":"disk\u001b[2J full","startedAt":"2026-03-01T10:00:00Z"},` +
			`{"id":"d","kind":"participant","stageArn":"arn:aws:ivs:r:1:stage/room","participantId":"p1","userId":"ana\u0007","state":"RECORDING_ENDED","startedAt":"2026-03-01T09:00:00Z","renditions":[{"name":"high"}]}]}`,
	}
	var queries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries = append(queries, r.URL.RawQuery)
		fmt.Fprint(w, pages[len(queries)-1])
	}))
	defer server.Close()
	c := &client{base: server.URL, region: "r", credentials: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"}, http: http.DefaultClient}
	var out strings.Builder
	if err := (&RecordingList{Kind: "channel", Channel: "ch", State: "started"}).print(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	local := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Local().Format("15:04:05")
	if got := strings.Join(queries, "|"); got != "channel=ch&kind=channel&state=started|channel=ch&kind=channel&nextToken=more&state=started" {
		t.Errorf("asked %s", got)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{"ID OF STARTED DURATION PARTS RENDITIONS STATE", "1h2m5s 2 - recording", "0 720p60,audio_only complete", "failed: disk\uFFFD[2J full", "0 high complete"} {
		if i >= len(lines) || !strings.HasSuffix(strings.Join(strings.Fields(lines[i]), " "), want) {
			t.Fatalf("printed\n%s\nwant %q in line %d", out.String(), want, i)
		}
	}
	if !strings.Contains(lines[4], "room/p1 ana\uFFFD ") {
		t.Errorf("printed %s", lines[4])
	}
	if !strings.Contains(lines[1], "ch studio") || !strings.Contains(lines[1], local) {
		t.Errorf("printed %s", lines[1])
	}
}

// Each flag is a parameter of the API.
func TestListFlags(t *testing.T) {
	var query url.Values
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query()
		fmt.Fprint(w, `{"recordings":[]}`)
	}))
	defer server.Close()
	c := &client{base: server.URL, region: "r", credentials: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"}, http: http.DefaultClient}
	l := &RecordingList{Kind: "k", Channel: "c", Stage: "s", Session: "se", Participant: "p", State: "st", From: "f", To: "t"}
	if err := l.print(t.Context(), c, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := query.Encode(); got != "channel=c&from=f&kind=k&participant=p&session=se&stage=s&state=st&to=t" {
		t.Errorf("asked %s", got)
	}
}

// A recording whose bucket is away keeps no other one from being verified.
func TestVerifyAll(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/recordings":
			fmt.Fprint(w, `{"recordings":[{"id":"a"},{"id":"b"}]}`)
		case "/v1/recordings/a/verify":
			http.Error(w, `{"message":"bucket clips cannot be read now"}`, http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"verified":true,"objects":3,"renditions":[{"name":"720p30"},{"name":"480p30","absent":5.5,"lostSound":0.04}],"thumbnails":2}`)
		}
	}))
	defer server.Close()
	c := &client{base: server.URL, region: "r", credentials: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"}, http: http.DefaultClient}
	var out strings.Builder
	err := (&RecordingVerify{All: true}).print(t.Context(), c, &out)
	if err == nil || !strings.Contains(err.Error(), "1 of 2 recordings have problems") {
		t.Error(err)
	}
	if want := "a  not verified: bucket clips cannot be read now\nb  whole: 0s in 3 objects, 0.0 MB, 2 renditions, 2 thumbnails\n  480p30 has holes of 5.5s, as its playlists tell\n  0.04s of sound did not arrive, as the playlist tells\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

// A connection that is refused is told with where the address came from.
func TestNoServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := &client{base: server.URL, from: "as x says", region: "r", credentials: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"}, http: http.DefaultClient}
	_, err := c.recording(t.Context(), "a")
	if err == nil || !strings.Contains(err.Error(), "no server answers at "+server.URL+", as x says") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.recording(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
