package app

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/media"
	"anabranch/internal/resource"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// bucket is a bucket in memory.
type bucket struct {
	// mu guards what follows.
	mu      sync.Mutex
	objects map[string][]byte
	delay   time.Duration // of an upload
	gone    bool
	denied  bool // nobody may write
	away    bool // does not answer
}

// cable leads a server to the bucket, until it is cut.
type cable struct {
	*bucket
	dead bool // guarded by the bucket's mutex
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
}

func (c *cable) set(change func(b *bucket)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.bucket)
}

func (c *cable) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead, c.away:
		return errors.New("connection refused")
	case c.gone:
		return answered(404, "NoSuchBucket")
	case c.denied:
		return answered(403, "AccessDenied")
	}
	return nil
}

// answered is the error of an endpoint that refused.
func answered(status int, code string) error {
	return fmt.Errorf("store: %w",
		&smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: &smithy.GenericAPIError{Code: code}})
}

func (c *cable) Check(context.Context, string) error { return c.refusal() }

func (c *cable) Put(ctx context.Context, _, key, _ string, body io.ReadSeeker) error {
	if err := c.refusal(); err != nil {
		return err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	delay := c.delay
	c.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.refusal(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[key] = data
	return nil
}

// told are the recording events so far: "start 1", "end 1 2".
func (s *studio) told() (told []string, recordings []string) {
	s.Helper()
	events, err := s.store.Events(context.Background(), 0, 1000)
	if err != nil {
		s.Fatal(err)
	}
	short := map[string]string{
		resource.RecordingStart: "start", resource.RecordingEnd: "end",
		resource.RecordingStartFailure: "refuse", resource.RecordingEndFailure: "fail",
	}
	for _, e := range events {
		if e.DetailType != resource.RecordingStateChange {
			continue
		}
		var d resource.RecordingStateDetail
		if err := json.Unmarshal(e.Detail.(json.RawMessage), &d); err != nil {
			s.Fatal(err)
		}
		if d.Status == resource.RecordingStart {
			recordings = append(recordings, path.Base(d.KeyPrefix))
		}
		told = append(told, short[d.Status]+" "+s.numbers(d.SessionStreamIDs))
	}
	return told, recordings
}

func (s *studio) numbers(streams []string) string {
	var numbers []string
	for _, id := range streams {
		numbers = append(numbers, strconv.Itoa(s.stays[id].n))
	}
	return strings.Join(numbers, " ")
}

// recordings says of each recording which streams it has, how long its objects
// last in seconds, with a bar for each discontinuity, and how and when it
// ended: "1 2: 10 2|12, ended 1m24s".
func (s *studio) recordings() (all []string) {
	s.Helper()
	_, ids := s.told()
	for _, id := range ids {
		r, err := s.store.Recording(context.Background(), id)
		if err != nil {
			s.Fatal(err)
		}
		state := map[resource.RecordingState]string{
			resource.RecordingStarted: "open", resource.RecordingEnded: "ended", resource.RecordingFailed: "failed",
		}[r.State]
		if !r.EndedAt.IsZero() {
			state += " " + r.EndedAt.Sub(s.began).String()
		}
		all = append(all, fmt.Sprintf("%s:%s, %s", s.numbers(r.StreamIDs), s.objects(&r), state))
	}
	return all
}

// objects reads a recording's playlist, and checks what is true of any.
func (s *studio) objects(r *resource.Recording) (line string) {
	s.Helper()
	object := func(name string) []byte {
		data, ok := s.bucket.objects[r.Prefix+"/"+name]
		if !ok && r.State == resource.RecordingEnded {
			s.Errorf("%s is missing", name)
		}
		return data
	}
	if r.State == resource.RecordingEnded {
		var m struct {
			From time.Time `json:"recording_started_at"`
			Till time.Time `json:"recording_ended_at"`
		}
		if err := json.Unmarshal(object("events/recording-ended.json"), &m); err != nil || m.Till.Before(m.From) {
			s.Errorf("recording-ended.json tells %v to %v: %v", m.From, m.Till, err)
		}
	}
	master := string(object("media/hls/master.m3u8"))
	folder := ""
	for l := range strings.Lines(master) {
		if name, ok := strings.CutSuffix(l, "/playlist.m3u8\n"); ok {
			folder = "media/hls/" + name + "/"
		}
	}
	playlist := string(object(folder + "playlist.m3u8"))
	if n := strings.Count(playlist, "#EXT-X-ENDLIST"); r.State == resource.RecordingEnded && n != 1 {
		s.Errorf("the playlist ends %d times:\n%s", n, playlist)
	}
	var (
		sum, last     float64 // seconds
		zero          float64 // the first DTS, in seconds
		stream, named int
		at, due       time.Time // EXT-X-PROGRAM-DATE-TIME, and what it is to be at least
	)
	for l := range strings.Lines(playlist) {
		l = strings.TrimSpace(l)
		switch {
		case l == "#EXT-X-DISCONTINUITY":
			line += "|"
			stream++
			if stream < len(r.StreamIDs) {
				before, now := s.stays[r.StreamIDs[stream-1]], s.stays[r.StreamIDs[stream]]
				due = due.Add(now.from.Sub(before.till))
			}
		case strings.HasPrefix(l, "#EXTINF:"):
			last, _ = strconv.ParseFloat(strings.Trim(l, "#EXTINF:,"), 64)
			if line != "" && !strings.HasSuffix(line, "|") || line == "" {
				line += " "
			}
			line += strconv.FormatFloat(last, 'f', -1, 64)
		case strings.HasPrefix(l, "#EXT-X-PROGRAM-DATE-TIME:"):
			at, _ = time.Parse(time.RFC3339, strings.TrimPrefix(l, "#EXT-X-PROGRAM-DATE-TIME:"))
			if named > 0 && at.Sub(due).Abs() > 400*time.Millisecond {
				s.Errorf("object %d begins at %v, not %v:\n%s", named, at, due, playlist)
			}
		case l != "" && l[0] != '#':
			dts := firstDTS(s.T, object(folder+l))
			if named == 0 {
				zero = dts
			}
			if hole := dts - zero - sum; math.Abs(hole) > 0.002 {
				s.Errorf("before %s there is a hole of %.3f s:\n%s", l, hole, playlist)
			}
			due, sum, named = at.Add(time.Duration(last*float64(time.Second))), sum+last, named+1
		}
	}
	if got := r.Duration.Seconds(); r.State == resource.RecordingEnded && math.Abs(got-sum) > 0.002*float64(named) {
		s.Errorf("%v s are told, the playlist lasts %.3f s", got, sum)
	}
	return line
}

// firstDTS is when an object's first picture is decoded, in seconds.
func firstDTS(t *testing.T, object []byte) float64 {
	t.Helper()
	if i := bytes.Index(object, []byte("tfdt\x01\x00\x00\x00")); i >= 0 { // of a movie fragment
		return float64(binary.BigEndian.Uint64(object[i+8:])) / media.VideoRate
	}
	for p := object; len(p) >= 188; p = p[188:] {
		if p[1]&0x5F != 0x41 || p[2] != 0x01 { // the first packet of a picture
			continue
		}
		pes := p[4:]
		if p[3]&0x20 != 0 {
			pes = p[5+p[4]:]
		}
		stamp := pes[9:] // the PTS
		if pes[7]&0x40 != 0 {
			stamp = pes[14:]
		}
		at := int64(stamp[0]&0x0E)<<29 | int64(stamp[1])<<22 | int64(stamp[2]&0xFE)<<14 | int64(stamp[3])<<7 | int64(stamp[4])>>1
		return float64(at) / media.VideoRate
	}
	t.Errorf("an object of %d bytes has no picture", len(object))
	return 0
}

// want checks what became of all streams. told is what was told, in order; of
// one recording it need not be said.
func (s *studio) want(recordings []string, told string) {
	s.Helper()
	if got := s.recordings(); !slices.Equal(got, recordings) {
		s.Errorf("the recordings are\n\t%q\nnot\n\t%q", got, recordings)
	}
	if told == "" && len(recordings) == 1 {
		streams, _, _ := strings.Cut(recordings[0], ":")
		first, _, _ := strings.Cut(streams, " ")
		told = "start " + first + ", end " + streams
	}
	if got, _ := s.told(); strings.Join(got, ", ") != told {
		s.Errorf("told were %q, not %q", strings.Join(got, ", "), told)
	}
}
