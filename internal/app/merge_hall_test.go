package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/internal/api"
	"anabranch/internal/api/realtime"
	"anabranch/internal/auth"
	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/recorder"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"
	"anabranch/internal/stage"
	"anabranch/internal/store"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// hall is a server without its sockets and its WebRTC, on virtual time: API, rooms,
// recorder and database as the server joins them, with one stage, above a bucket in
// memory. What participants publish is cut here.
type hall struct {
	*testing.T
	dir     string
	bucket  *bucket
	began   time.Time
	cable   *cable // to the bucket
	store   *store.Store
	rooms   *stage.Manager
	lobby   *lobby
	tokens  *auth.ParticipantTokens
	api     http.Handler
	stop    func()
	stopped sync.WaitGroup // servers that were killed, too
	stage   resource.ARN

	mu      sync.Mutex
	names   map[string]string // of publications, by the id of their stream: "ana1"
	counted map[string]int    // publications, by participant
}

// newHall opens a hall whose participants are recorded, with a reconnect window in
// seconds.
func newHall(t *testing.T, window int) *hall {
	h := &hall{
		T: t, dir: t.TempDir(), bucket: &bucket{objects: make(map[string][]byte)}, began: time.Now(),
		names: make(map[string]string), counted: make(map[string]int),
	}
	t.Cleanup(h.close)
	h.start()
	h.stage = arnOf(h.must("CreateStage", `{"autoParticipantRecordingConfiguration":%s}`, h.recording("clips", window)), "stage")
	return h
}

// start starts the server.
func (h *hall) start() {
	h.Helper()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(h.Output(), nil))
	}
	place := resource.Place{Region: "eu-west-1", Account: "111122223333"}
	db, err := store.Open(ctx, store.Config{Path: filepath.Join(h.dir, "db"), Log: log})
	if err != nil {
		h.Fatal(err)
	}
	wire := &cable{bucket: h.bucket}
	rec, err := recorder.Open(ctx, recorder.Config{
		Dir: filepath.Join(h.dir, "spool"), FS: disk.OS, Objects: wire, Ledger: db, Place: place, Log: log,
	})
	if err != nil {
		h.Fatal(err)
	}
	h.tokens = auth.NewParticipantTokens([]byte("secret"), func() (string, string) { return "ws://hall/events", "http://hall/whip" })
	h.lobby = &lobby{}
	rooms, err := stage.NewManager(ctx, stage.Config{
		Engine: h.lobby, Ledger: db, Tokens: h.tokens, Recorder: &cutters{h: h, recorder: rec, lobby: h.lobby}, Log: log,
	})
	if err != nil {
		h.Fatal(err)
	}
	h.cable, h.store, h.rooms = wire, db, rooms
	h.api = api.New(api.Config{
		Signatures: &auth.SigV4{Region: place.Region, Service: "ivs", Secret: func(string) (string, bool) { return "secret", true }},
		Log:        log,
		Services: []api.Service{realtime.Service(realtime.Config{
			Place: place, Store: db, Rooms: rooms, Tokens: h.tokens, Buckets: wire, Sealer: auth.NewSealer([]byte("key")),
		})},
	})
	recording, stopRecording := context.WithCancel(ctx)
	meeting, stopMeeting := context.WithCancel(ctx)
	var recorded, met sync.WaitGroup
	recorded.Go(func() { rec.Run(recording) })
	met.Go(func() { rooms.Run(meeting) })
	h.stop = sync.OnceFunc(func() {
		stopMeeting()
		met.Wait()
		stopRecording()
		recorded.Wait()
		db.Close()
	})
}

// kill kills the server: what is on the disk now is all that the next start finds.
func (h *hall) kill() {
	h.Helper()
	synctest.Wait()
	h.cable.cut()
	dir := h.TempDir()
	if err := os.CopyFS(dir, os.DirFS(h.dir)); err != nil {
		h.Fatal(err)
	}
	h.dir = dir
	h.stopped.Go(h.stop)
	synctest.Wait()
}

// loseSpool removes the spool, as a disk that is gone does.
func (h *hall) loseSpool() {
	h.Helper()
	if err := os.RemoveAll(filepath.Join(h.dir, "spool")); err != nil {
		h.Fatal(err)
	}
}

// close ends the hall.
func (h *hall) close() {
	h.stop()
	h.stopped.Wait()
}

// call calls an operation, and returns the exception that it is answered with, if
// any.
func (h *hall) call(operation, body string, args ...any) (exception string, answer map[string]any) {
	h.Helper()
	body = fmt.Sprintf(body, args...)
	r := httptest.NewRequest("POST", "http://hall/"+operation, strings.NewReader(body))
	hash := sha256.Sum256([]byte(body))
	key := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}
	if err := v4.NewSigner().SignHTTP(h.Context(), key, r, hex.EncodeToString(hash[:]), "ivs", "eu-west-1", time.Now()); err != nil {
		h.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.api.ServeHTTP(w, r)
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			h.Fatalf("%s: %v", operation, err)
		}
	}
	return w.Header().Get("x-amzn-ErrorType"), answer
}

// must calls an operation that is to do what it is asked for.
func (h *hall) must(operation, body string, args ...any) map[string]any {
	h.Helper()
	exception, answer := h.call(operation, body, args...)
	if exception != "" {
		h.Fatalf("%s: %s: %v", operation, exception, answer)
	}
	return answer
}

func arnOf(answer map[string]any, noun string) resource.ARN {
	return resource.ARN(answer[noun].(map[string]any)["arn"].(string))
}

// recording makes a storage configuration, and is how participants are recorded
// there.
func (h *hall) recording(bucket string, window int) string {
	h.Helper()
	arn := arnOf(h.must("CreateStorageConfiguration", `{"s3":{"bucketName":%q}}`, bucket), "storageConfiguration")
	return fmt.Sprintf(`{"storageConfigurationArn":%q,"recordingReconnectWindowSeconds":%d}`, arn, window)
}

// update changes how participants are recorded, and returns the exception, if any.
func (h *hall) update(recording string) string {
	h.Helper()
	exception, _ := h.call("UpdateStage", `{"arn":%q,"autoParticipantRecordingConfiguration":%s}`, h.stage, recording)
	return exception
}

// publication is what a participant publishes by one connection.
type publication struct {
	h   *hall
	who string
	*call
	cutter *cutter // what records it
	once   sync.Once
}

// publish connects a publisher, whose media does not flow yet.
func (h *hall) publish(who string) *publication {
	h.Helper()
	token, err := h.tokens.Mint(auth.ParticipantClaims{
		ID: who, Stage: h.stage, UserID: "user of " + who, Publish: true, IssuedAt: h.began, ExpiresAt: h.began.Add(96 * time.Hour),
	})
	if err != nil {
		h.Fatal(err)
	}
	answer, err := h.rooms.Publish(h.Context(), token, stage.Client{}, nil)
	if err != nil {
		h.Fatal(err)
	}
	c := h.lobby.call(answer.SessionID)
	return &publication{h: h, who: who, call: c, cutter: h.lobby.cutterOf(c.source)}
}

// send sends d of media, as fast as time goes.
func (p *publication) send(d time.Duration) *publication {
	p.once.Do(func() {
		close(p.flowing)
		synctest.Wait() // it is stored before the first part is whole
	})
	if p.cutter == nil { // not recorded
		time.Sleep(d)
		return p
	}
	began := time.Now()
	for n := range media.TicksOf(d, media.VideoRate) / third {
		p.cutter.write()
		time.Sleep(time.Until(began.Add(((n + 1) * third).Duration(media.VideoRate))))
	}
	return p
}

// lose ends the publication: its connection is lost.
func (p *publication) lose() {
	p.Close(rtc.ErrLost)
	synctest.Wait()
}

// stay is a whole publication.
func (h *hall) stay(who string, d time.Duration) {
	h.Helper()
	h.publish(who).send(d).lose()
}

// cutters cut what is published, each publication by itself.
type cutters struct {
	h        *hall
	recorder *recorder.Recorder
	lobby    *lobby
}

func (c *cutters) Record(streamID string, st *resource.Stage, storage *resource.StorageConfiguration, who *resource.Participant, src *rtc.Source) func() {
	s := recorder.Stream{ID: streamID, Participant: &recorder.Participant{
		Stage: st.ARN, SessionID: who.SessionID, ID: who.ID, UserID: who.UserID, Recording: st.Recording, Storage: *storage,
	}}
	c.h.mu.Lock()
	c.h.counted[who.ID]++
	c.h.names[s.ID] = who.ID + strconv.Itoa(c.h.counted[who.ID])
	c.h.mu.Unlock()
	cut := &cutter{take: c.recorder.Begin(s), now: packager.Origin, params: plain.description(c.h.T).Params}
	c.lobby.records(src, cut)
	return func() {
		cut.mu.Lock()
		defer cut.mu.Unlock()
		cut.over = true
		cut.take.End()
	}
}

func (c *cutters) Release(st resource.ARN) { c.recorder.ReleaseStage(st) }

// cutter makes parts of a third of a second, with a key frame in the first of
// three.
type cutter struct {
	mu     sync.Mutex // guards what follows
	take   *recorder.Take
	params media.Params
	now    media.Ticks
	n      int
	over   bool
}

// third is how long a part is, in 90 kHz ticks.
const third = media.Ticks(media.VideoRate / 3)

func (c *cutter) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	key := c.n%3 == 0
	part := &packager.Chunk{
		Params: c.params, Start: c.now, Duration: third, Time: time.Now().UTC(), Segment: key, SegmentEnd: c.n%3 == 2, Independent: key,
		Discontinuity: c.n == 0,
	}
	for i := range media.Ticks(10) {
		dts := c.now + i*third/10
		picture := append([]byte{0, 0, 0, 60, 0x41}, make([]byte, 59)...)
		if key && i == 0 {
			picture[4] = 0x65
		}
		part.Video = append(part.Video, media.Frame{DTS: dts, PTS: dts, Duration: third / 10, Key: key && i == 0, Payload: picture})
	}
	c.n++
	c.now += third
	// An error is final, and the recorder's to tell.
	c.over = c.take.Write(part, []recorder.Rendered{{Chunk: part}}) != nil
}

// lobby answers offers with calls that carry nothing.
type lobby struct {
	mu      sync.Mutex // guards what follows
	calls   []*call
	cutters map[*rtc.Source]*cutter // the newest of each
}

// call is a connection.
type call struct {
	id                       string
	source                   *rtc.Source
	connected, flowing, done chan struct{}
	once                     sync.Once
	cause                    error
}

func (l *lobby) Publish(_ context.Context, _ []byte, src *rtc.Source, _ rtc.Limits) (stage.Session, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &call{
		id: fmt.Sprint("call-", len(l.calls)), source: src,
		connected: make(chan struct{}), flowing: make(chan struct{}), done: make(chan struct{}),
	}
	l.calls = append(l.calls, c)
	return c, nil, nil
}

func (l *lobby) Subscribe(ctx context.Context, offer []byte, src *rtc.Source) (stage.Session, []byte, error) {
	return l.Publish(ctx, offer, src, rtc.Limits{})
}

func (l *lobby) call(id string) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[slices.IndexFunc(l.calls, func(c *call) bool { return c.id == id })]
}

func (l *lobby) records(src *rtc.Source, c *cutter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cutters == nil {
		l.cutters = make(map[*rtc.Source]*cutter)
	}
	l.cutters[src] = c
}

func (l *lobby) cutterOf(src *rtc.Source) *cutter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cutters[src]
}

func (c *call) ID() string                                   { return c.id }
func (c *call) ETag() string                                 { return `"1"` }
func (c *call) Patch(string, []byte) ([]byte, string, error) { return nil, "", nil }
func (c *call) Connected() <-chan struct{}                   { return c.connected }
func (c *call) Flowing() <-chan struct{}                     { return c.flowing }
func (c *call) Done() <-chan struct{}                        { return c.done }
func (c *call) Err() error                                   { return c.cause }
func (c *call) Stats() rtc.Stats                             { return rtc.Stats{} }
func (c *call) Close(cause error)                            { c.once.Do(func() { c.cause = cause; close(c.done) }) }

// sessions numbers the sessions of the stage, by id.
func (h *hall) sessions() map[string]string {
	h.Helper()
	all, _, err := h.store.ListStageSessions(context.Background(), h.stage, resource.Page{Size: 100})
	if err != nil {
		h.Fatal(err)
	}
	numbers := make(map[string]string)
	for i, s := range all { // newest first
		numbers[s.ID] = "s" + strconv.Itoa(len(all)-i)
	}
	return numbers
}

// told are the recording events so far: "start ana s1", the session being the one
// that the event names; recording by recording, for which of two is told first is
// chance. prefixes are those of the recordings that started.
func (h *hall) told() (told, prefixes []string) {
	h.Helper()
	events, err := h.store.Events(context.Background(), 0, 1000)
	if err != nil {
		h.Fatal(err)
	}
	short := map[string]string{
		resource.RecordingStart: "start", resource.RecordingEnd: "end",
		resource.RecordingStartFailure: "refuse", resource.RecordingEndFailure: "fail",
	}
	sessions := h.sessions()
	type recording struct {
		participant string
		began       time.Time
		told        []string
	}
	recordings := make(map[string]*recording) // by prefix
	for _, e := range events {
		if e.DetailType != resource.ParticipantRecordingStateChange {
			continue
		}
		var d resource.ParticipantRecordingStateDetail
		if err := json.Unmarshal(e.Detail.(json.RawMessage), &d); err != nil {
			h.Fatal(err)
		}
		line := strings.Join([]string{short[d.EventName], d.ParticipantID, sessions[d.SessionID], string(d.ErrorCode)}, " ")
		if recordings[d.KeyPrefix] == nil {
			recordings[d.KeyPrefix] = &recording{participant: d.ParticipantID, began: e.Time}
		}
		r := recordings[d.KeyPrefix]
		r.told = append(r.told, strings.TrimSpace(line))
		switch {
		case d.EventName == resource.RecordingStart && slices.Contains(prefixes, d.KeyPrefix):
			h.Errorf("two recordings have the prefix %s", d.KeyPrefix)
		case d.EventName == resource.RecordingStart:
			prefixes = append(prefixes, d.KeyPrefix)
		case d.EventName != resource.RecordingStartFailure && !slices.Contains(prefixes, d.KeyPrefix):
			h.Errorf("%s of %s, which never started", d.EventName, d.KeyPrefix)
		}
	}
	inOrder := slices.SortedFunc(maps.Values(recordings), func(a, b *recording) int {
		return cmp.Or(strings.Compare(a.participant, b.participant), a.began.Compare(b.began))
	})
	for _, r := range inOrder {
		told = append(told, r.told...)
	}
	return told, prefixes
}

// recordings says of each recording which publications it has, the sessions it
// went through, how long its objects last in seconds, with a bar for each
// discontinuity, and how and when it ended: "ana1 ana2, s1: 3|3, ended 1m6s".
func (h *hall) recordings() (all []string) {
	h.Helper()
	_, prefixes := h.told()
	recordings, _, err := h.store.ListRecordings(context.Background(), resource.RecordingFilter{StageARN: h.stage}, resource.Page{Size: 100})
	if err != nil {
		h.Fatal(err)
	}
	numbers := h.sessions()
	for _, prefix := range prefixes {
		r := &recordings[slices.IndexFunc(recordings, func(r resource.Recording) bool { return r.Prefix == prefix })]
		var publications, sessions []string
		for _, id := range r.StreamIDs {
			publications = append(publications, h.names[id])
		}
		for _, id := range r.StageSessionIDs {
			sessions = append(sessions, numbers[id])
		}
		if want := path.Join(r.StageARN.ID(), r.StageSessionIDs[0], r.ParticipantID); path.Dir(r.Prefix) != want {
			h.Errorf("the prefix is %s, not in %s", r.Prefix, want)
		}
		state := map[resource.RecordingState]string{
			resource.RecordingStarted: "open", resource.RecordingEnded: "ended", resource.RecordingFailed: "failed",
		}[r.State]
		if !r.EndedAt.IsZero() {
			state += " " + r.EndedAt.Sub(h.began).String()
		}
		all = append(all, fmt.Sprintf("%s, %s:%s, %s", strings.Join(publications, " "), strings.Join(sessions, " "), h.objects(r), state))
	}
	slices.Sort(all)
	return all
}

// objects reads a recording's playlist, and checks what is true of any.
func (h *hall) objects(r *resource.Recording) (line string) {
	h.Helper()
	object := func(name string) string {
		data, ok := h.bucket.objects[r.Prefix+"/"+name]
		if !ok && r.State == resource.RecordingEnded {
			h.Errorf("%s is missing", name)
		}
		return string(data)
	}
	if r.State == resource.RecordingEnded {
		var m struct {
			Session string `json:"session_id"`
			From    string `json:"recording_started_at"`
		}
		err := json.Unmarshal([]byte(object("events/recording-ended.json")), &m)
		if last := r.StageSessionIDs[len(r.StageSessionIDs)-1]; err != nil || m.Session != last || m.From != r.StartedAt.Format(time.RFC3339) {
			h.Errorf("recording-ended.json tells %+v, not %s and %v: %v", m, last, r.StartedAt, err)
		}
	}
	playlist := object("media/hls/high/playlist.m3u8")
	if n := strings.Count(playlist, "#EXT-X-ENDLIST"); r.State == resource.RecordingEnded && n != 1 {
		h.Errorf("the playlist ends %d times:\n%s", n, playlist)
	}
	number, gap := 0, " "
	for l := range strings.Lines(playlist) {
		l = strings.TrimSpace(l)
		switch {
		case l == "#EXT-X-DISCONTINUITY":
			gap = "|"
		case strings.HasPrefix(l, "#EXTINF:"):
			seconds, _ := strconv.ParseFloat(strings.Trim(l, "#EXTINF:,"), 64)
			line += gap + strconv.FormatFloat(seconds, 'f', -1, 64)
			gap = " "
		case l != "" && l[0] != '#':
			if want := strconv.Itoa(number) + ".mp4"; l != want || object("media/hls/high/"+l) == "" {
				h.Errorf("object %s, not %s:\n%s", l, want, playlist)
			}
			number++
		}
	}
	return line
}

// states are the states of the participants' recordings, in each session.
func (h *hall) states() string {
	h.Helper()
	var all []string
	sessions, _, err := h.store.ListStageSessions(context.Background(), h.stage, resource.Page{Size: 100})
	if err != nil {
		h.Fatal(err)
	}
	for _, s := range slices.Backward(sessions) {
		in, _, err := h.store.ListParticipants(context.Background(), resource.ParticipantFilter{Stage: s.Stage, SessionID: s.ID}, resource.Page{Size: 100})
		if err != nil {
			h.Fatal(err)
		}
		for _, p := range in {
			all = append(all, p.ID+" "+string(p.RecordingState))
			if p.RecordingState == resource.ParticipantRecordingStopped && p.RecordingBucket != "" {
				if _, ok := h.bucket.objects[p.RecordingPrefix+"/events/recording-ended.json"]; !ok {
					h.Errorf("%s has nothing in %s", p.ID, p.RecordingPrefix)
				}
			}
		}
	}
	return strings.Join(all, ", ")
}

// want checks what became of all publications. told is what was told, as [hall.told]
// has it; of one recording in one session it need not be said.
func (h *hall) want(recordings []string, told, states string) {
	h.Helper()
	if got := h.recordings(); !slices.Equal(got, recordings) {
		h.Errorf("the recordings are\n\t%q\nnot\n\t%q", got, recordings)
	}
	if told == "" && len(recordings) == 1 {
		told = "start ana s1, end ana s1"
	}
	if got, _ := h.told(); strings.Join(got, ", ") != strings.TrimSpace(told) {
		h.Errorf("told were %q, not %q", strings.Join(got, ", "), told)
	}
	if got := h.states(); got != states {
		h.Errorf("the participants are %q, not %q", got, states)
	}
}
