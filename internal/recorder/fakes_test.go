package recorder

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/resource"
)

// world is what surrounds a recorder, and outlives it: a bucket and a ledger.
type world struct {
	mu    sync.Mutex
	tree  map[string][]byte             // objects by key
	rows  map[string]resource.Recording // recordings by id
	tells []string                      // events, "Recording Start st-…"
	whys  []resource.RecordingFailure   // of those of failures
	calls int                           // of anything
	// fault is asked before each call; an error makes the call fail. after is
	// told when a call has been made.
	fault func(n int, call string) error
	after func(n int, call string) error
}

func newWorld() *world {
	return &world{tree: make(map[string][]byte), rows: make(map[string]resource.Recording)}
}

// call makes a change unless a fault prevents it, or hides that it was made.
func (w *world) call(name string, change func()) error {
	w.mu.Lock()
	w.calls++
	n, fault, after := w.calls, w.fault, w.after
	w.mu.Unlock()
	if fault != nil {
		if err := fault(n, name); err != nil {
			return err
		}
	}
	w.mu.Lock()
	change()
	w.mu.Unlock()
	if after != nil {
		return after(n, name)
	}
	return nil
}

// fail makes all calls fail from now on.
func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = func(int, string) error { return err }
}

func (w *world) Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error {
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return w.call("put "+key, func() { w.tree[key] = data })
}

func (w *world) Check(ctx context.Context, bucket string) error {
	return w.call("check "+bucket, func() {})
}

func (w *world) StartRecording(ctx context.Context, r resource.Recording) error {
	return w.call("start", func() {
		if _, ok := w.rows[r.ID]; !ok {
			w.rows[r.ID] = r
			w.tells = append(w.tells, "Recording Start "+strings.Join(r.StreamIDs, " "))
		}
	})
}

func (w *world) JoinRecording(ctx context.Context, id string, s resource.RecordedStream) error {
	var conflict error
	err := w.call("join", func() {
		r := w.rows[id]
		switch {
		case slices.Contains(r.StreamIDs, s.ID):
		case r.State != resource.RecordingStarted:
			conflict = resource.Errorf(resource.Conflict, "recording is over")
		default:
			r.StreamIDs = append(slices.Clone(r.StreamIDs), s.ID)
			if s.StageSessionID != "" && !slices.Contains(r.StageSessionIDs, s.StageSessionID) {
				r.StageSessionIDs = append(slices.Clone(r.StageSessionIDs), s.StageSessionID)
			}
			w.rows[id] = r
		}
	})
	return errors.Join(err, conflict)
}

func (w *world) DescribeRecording(ctx context.Context, id string, m resource.RecordedMedia) error {
	return w.call("describe", func() {
		r := w.rows[id]
		r.Media = m
		w.rows[id] = r
	})
}

func (w *world) EndRecording(ctx context.Context, id string, at time.Time, d time.Duration) error {
	return w.call("end", func() { w.final(id, at, d, resource.RecordingEnded, resource.RecordingFailure{}) })
}

func (w *world) FailRecording(ctx context.Context, id string, at time.Time, d time.Duration, why resource.RecordingFailure) error {
	return w.call("fail", func() { w.final(id, at, d, resource.RecordingFailed, why) })
}

func (w *world) final(id string, at time.Time, d time.Duration, state resource.RecordingState, why resource.RecordingFailure) {
	r := w.rows[id]
	if r.State != resource.RecordingStarted {
		return
	}
	r.State, r.EndedAt, r.Duration, r.StatusMessage = state, at, d, why.Reason
	w.rows[id] = r
	what := resource.RecordingEnd
	if state == resource.RecordingFailed {
		what = resource.RecordingEndFailure
		w.whys = append(w.whys, why)
	}
	w.tells = append(w.tells, what+" "+strings.Join(r.StreamIDs, " "))
}

func (w *world) RefuseRecording(ctx context.Context, r resource.Recording, why resource.RecordingFailure) error {
	return w.call("refuse", func() {
		w.whys = append(w.whys, why)
		w.tells = append(w.tells, resource.RecordingStartFailure+" "+strings.Join(r.StreamIDs, " ")+": "+why.Reason)
	})
}

func (w *world) OpenRecordings(ctx context.Context) ([]resource.Recording, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var open []resource.Recording
	for _, r := range w.rows {
		if r.State == resource.RecordingStarted {
			open = append(open, r)
		}
	}
	return open, nil
}

// told are the events so far.
func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tells)
}

// recordings are the rows, oldest first.
func (w *world) recordings() []resource.Recording {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := slices.Collect(maps.Values(w.rows))
	slices.SortFunc(rows, func(a, b resource.Recording) int { return a.StartedAt.Compare(b.StartedAt) })
	return rows
}

// object is what the bucket has of a recording.
func (w *world) object(r resource.Recording, name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.tree[r.Prefix+"/"+name])
}

// names lists what the bucket has of a recording.
func (w *world) names(r resource.Recording) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for key := range w.tree {
		if name, ok := strings.CutPrefix(key, r.Prefix+"/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

var errNetwork = errors.New("connection refused")

// errDenied is a refusal as the S3 client returns it.
func errDenied() error {
	return fmt.Errorf("bucket clips must not be written to, access denied: %w",
		&smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 403}}, Err: errors.New("AccessDenied")})
}

var place = resource.Place{Region: "us-west-2", Account: "111122223333"}

func open(t *testing.T, w *world, dir string) *Recorder {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	r, err := Open(t.Context(), Config{Dir: dir, FS: disk.OS, Objects: w, Ledger: w, Place: place, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run runs r until the returned function is called.
func run(t *testing.T, r *Recorder) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// virtual runs f on virtual time, with a recorder that runs.
func virtual(t *testing.T, f func(t *testing.T, w *world, r *Recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := open(t, w, t.TempDir())
		stop := run(t, r)
		defer stop()
		f(t, w, r)
	})
}

// camera makes chunks as the cutter does: three a second, in live segments of
// one group of pictures.
type camera struct {
	stream Stream
	now    media.Ticks
	gop    int // chunks in a group of pictures
	n      int // chunks since its start
	size   int // bytes of a frame
	fresh  bool
	cmaf   packager.CMAF
	rungs  []*rung // what it delivers besides its source
	blank  bool    // its pictures are not the publisher's
}

var streams int

// video720p is what x264 says of 1280x720.
var video720p = func() *media.VideoParams {
	sps, _ := hex.DecodeString("6742c01fda014016ec0440000003004000000f03c60ca8")
	v, err := media.ParseH264(sps, []byte{0x68, 0xce, 0x0f, 0xc8})
	if err != nil {
		panic(err)
	}
	v.TimingRate = 0
	return v
}()

func newCamera(window int) *camera {
	streams++
	return &camera{
		now: packager.Origin, gop: 6, size: 200, fresh: true,
		stream: Stream{
			ID: fmt.Sprintf("st-%d", streams),
			Channel: resource.Channel{
				ARN: place.ARN(resource.KindChannel, "Kq7mZ2xWc9Lb"), Name: "studio-a", ContainerFormat: resource.TS,
			},
			Configuration: resource.RecordingConfiguration{
				ARN:         place.ARN(resource.KindRecordingConfiguration, "clips"),
				Destination: resource.DestinationConfiguration{S3: &resource.S3DestinationConfiguration{BucketName: "clips"}},
				Rendition:   resource.RenditionConfiguration{Selection: "ALL"}, ReconnectWindowSeconds: window,
			},
			Description: media.Description{
				Params: media.Params{
					Video: video720p,
					Audio: &media.AudioParams{Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2},
				},
				FrameRate: 30, VideoBitrate: 2_000_000,
			},
		},
	}
}

// again is a new stream of the same encoder.
func (c *camera) again() *camera {
	streams++
	next := *c
	next.stream.ID = fmt.Sprintf("st-%d", streams)
	next.fresh, next.n = true, 0
	return &next
}

// chunk is the next third of a second: ten frames.
func (c *camera) chunk() *packager.Chunk {
	const frames, frame = 10, media.VideoRate / 30
	ch := &packager.Chunk{
		Params: c.stream.Description.Params, Start: c.now, Duration: frames * frame, Time: time.Now().UTC(),
		Segment: c.n == 0, SegmentEnd: c.n == c.gop-1, Independent: c.n == 0,
		Discontinuity: c.fresh && c.now != packager.Origin,
	}
	for i := range frames {
		dts := c.now + media.Ticks(i*frame)
		payload := make([]byte, 4+c.size)
		payload[2], payload[3], payload[4] = byte(c.size>>8), byte(c.size), 0x41
		ch.Video = append(ch.Video, media.Frame{
			DTS: dts, PTS: dts, Duration: frame, Key: c.n == 0 && i == 0, Payload: payload,
		})
	}
	c.fresh, c.now, c.n = false, ch.End(), (c.n+1)%c.gop
	return ch
}

// shoot gives the take n chunks, as fast as time goes.
func (c *camera) shoot(t *testing.T, take *Take, n int) error {
	t.Helper()
	for range n {
		ch := c.chunk()
		if err := take.Write(ch, c.render(t, ch)); err != nil {
			return err
		}
		time.Sleep(ch.Duration.Duration(media.VideoRate))
	}
	return nil
}

// broadcast is a whole stream of n chunks.
func (c *camera) broadcast(t *testing.T, r *Recorder, n int) {
	t.Helper()
	take := c.begin(r)
	if err := c.shoot(t, take, n); err != nil {
		t.Errorf("write: %v", err)
	}
	take.End()
}

// spooled lists the recordings in the spool.
func spooled(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "spool")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func wantTold(t *testing.T, w *world, want ...string) {
	t.Helper()
	if got := w.told(); !slices.Equal(got, want) {
		t.Errorf("told %q\nwant %q", got, want)
	}
}

// wantWhole checks that what the bucket has of an ended recording is complete
// and in order, and returns its media playlist.
func wantWhole(t *testing.T, w *world, r resource.Recording) string {
	t.Helper()
	if r.OfParticipant() {
		return wantWholeParticipant(t, w, r)
	}
	playlist := w.object(r, "media/hls/720p30/playlist.m3u8")
	if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") {
		t.Errorf("playlist has no end:\n%s", playlist)
	}
	if n := strings.Count(playlist, "#EXT-X-ENDLIST"); n != 1 {
		t.Errorf("playlist ends %d times", n)
	}
	for line := range strings.Lines(playlist) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		data := w.object(r, "media/hls/720p30/"+line)
		if data == "" {
			t.Errorf("object %s is missing", line)
		}
		if strings.HasSuffix(line, ".ts") && (len(data)%188 != 0 || data[0] != 0x47) {
			t.Errorf("object %s is no transport stream", line)
		}
	}
	if !strings.Contains(w.object(r, "media/hls/master.m3u8"), "\n720p30/playlist.m3u8\n") {
		t.Errorf("multivariant playlist:\n%s", w.object(r, "media/hls/master.m3u8"))
	}
	if !strings.Contains(w.object(r, "events/recording-ended.json"), `"RECORDING_ENDED"`) {
		t.Errorf("recording-ended.json: %s", w.object(r, "events/recording-ended.json"))
	}
	if !bytes.Contains([]byte(w.object(r, "events/recording-started.json")), []byte(`"720p30"`)) {
		t.Errorf("recording-started.json: %s", w.object(r, "events/recording-started.json"))
	}
	wantRanges(t, w, r, playlist)
	return playlist
}

// alone is a part of a stream that has its source alone.
func alone(c *packager.Chunk, cmaf []byte) []Rendered {
	return []Rendered{{Chunk: c, CMAF: cmaf}}
}
