package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/media"
	"anabranch/internal/metrics"
	"anabranch/internal/resource"
)

const (
	// stopGrace is how long Run goes on finishing recordings that ended.
	stopGrace = 5 * time.Second

	journalName = "journal"
)

// Objects is a store of objects. Its methods may be called from several
// goroutines at once.
type Objects interface {
	// Put stores body under key, replacing what was there. After a nil error
	// the object is durable. It gives up by itself in the end.
	Put(ctx context.Context, bucket, key, contentType string, body io.ReadSeeker) error
	// Check says why a bucket does not take objects, in words for people; nil
	// when it does. [objectstore.Refused] tells whether that stands.
	Check(ctx context.Context, bucket string) error
}

// Ledger knows which recordings exist, and tells of them in events. Each call
// is one transaction, and may be repeated: what was done before is not done or
// told again.
type Ledger interface {
	// StartRecording stores a recording that started (Recording Start).
	StartRecording(ctx context.Context, r resource.Recording) error
	// JoinRecording adds a stream to a recording. It is a Conflict when that
	// has ended.
	JoinRecording(ctx context.Context, id string, s resource.RecordedStream) error
	// DescribeRecording says what one consists of. No event tells of it.
	DescribeRecording(ctx context.Context, id string, m resource.RecordedMedia) error
	// EndRecording ends one, with the length of its media (Recording End).
	EndRecording(ctx context.Context, id string, at time.Time, d time.Duration) error
	// FailRecording ends one that failed (Recording End Failure).
	FailRecording(ctx context.Context, id string, at time.Time, d time.Duration, why resource.RecordingFailure) error
	// RefuseRecording tells of one that never started (Recording Start
	// Failure).
	RefuseRecording(ctx context.Context, r resource.Recording, why resource.RecordingFailure) error
	// OpenRecordings lists those that started and have not ended.
	OpenRecordings(ctx context.Context) ([]resource.Recording, error)
}

// Config is what a Recorder is made of.
type Config struct {
	// Dir is the spool: one folder for each recording that is not all stored,
	// and "<id>.broken" for each that could not be recovered.
	Dir string
	// FS is where Dir lies.
	FS disk.FS
	// SpoolMax bounds the media that waits for upload, in bytes; 0 for no bound. It
	// is for one bucket; others have a quarter of it besides.
	// In a spool that is full, recordings end whose media is not stored as fast
	// as it comes: what passes the bound is a few objects of each stream.
	SpoolMax int64
	Objects  Objects
	Ledger   Ledger
	Place    resource.Place
	// Stills makes thumbnails; nil for none.
	Stills Stills
	Log    *slog.Logger
}

// Stills makes pictures of key frames. Take does not block. It says whether the
// request is taken: then done is called once, with a JPEG or why there is none,
// unless a newer request of the same owner takes its place before it has begun.
type Stills interface {
	Take(owner string, v *media.VideoParams, key media.Frame, done func(jpeg []byte, err error)) bool
}

// Recorder records streams.
type Recorder struct {
	Config
	room         *room
	media, small *gate // of uploads: objects, and all else

	// mu guards what follows. It may be held when a recording's mutex is
	// taken, never the other way round.
	mu      sync.Mutex
	all     map[string]*recording // by id: all that have begun
	takes   map[owner]*Take       // the streams that are recorded now
	used    map[string]time.Time  // the prefixes taken of late, and the seconds they tell
	work    context.Context       // of the drivers; nil before Run and after
	stopped bool                  // Run ended
	drivers sync.WaitGroup
	// forgotten is the last second in which a prefix may have been taken that used
	// does not have: by what was stored before the start.
	forgotten time.Time
}

// Open takes up the recordings in the spool. Those that had not ended wait for
// their broadcasters, as if these had dropped now. ctx bounds the start only.
func Open(ctx context.Context, cfg Config) (*Recorder, error) {
	r := &Recorder{
		Config: cfg, room: newRoom(cfg.SpoolMax), media: newGate(), small: newGate(),
		all: make(map[string]*recording), takes: make(map[owner]*Take), used: make(map[string]time.Time),
		forgotten: time.Now().UTC().Truncate(time.Second),
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool: %w", err)
	}
	if err := cfg.FS.SyncDir(filepath.Dir(cfg.Dir)); err != nil {
		return nil, fmt.Errorf("sync spool: %w", err)
	}
	rows, err := cfg.Ledger.OpenRecordings(ctx)
	if err != nil {
		return nil, fmt.Errorf("list open recordings: %w", err)
	}
	if err := r.recover(ctx, rows); err != nil {
		return nil, err
	}
	return r, nil
}

// Run uploads and ends recordings until ctx ends. What ended by then, and
// whatever has no reconnect window, it finishes if that can be done in five
// seconds; the rest stays in the spool for the next start. When Run returns
// nothing is written any more.
func (r *Recorder) Run(ctx context.Context) error {
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	r.mu.Lock()
	r.work = work
	for _, rec := range r.all {
		r.launch(rec)
	}
	r.mu.Unlock()

	<-ctx.Done()
	r.mu.Lock()
	r.work, r.stopped = nil, true
	all := make([]*recording, 0, len(r.all))
	for _, rec := range r.all {
		all = append(all, rec)
	}
	r.mu.Unlock()
	for _, rec := range all {
		rec.stop(time.Now())
	}
	grace := time.AfterFunc(stopGrace, abort)
	defer grace.Stop()
	r.drivers.Wait()

	var errs []error
	for _, rec := range all {
		errs = append(errs, rec.close())
	}
	return errors.Join(errs...)
}

// Begin records a stream: in a recording of its channel or participant that waits,
// if the stream belongs to one, else in a new one, which starts with the stream's
// first part. It does not block.
func (r *Recorder) Begin(s Stream) *Take {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &Take{r: r, stream: s, lens: lens{rendition: s.thumbnailed()}}
	var selected []int
	t.begins, selected = s.begins()
	t.measuring = !t.begins.layout().mixed()
	for _, i := range selected {
		t.tracks = append(t.tracks, track{of: i})
	}
	if older := r.takes[t.owner()]; older != nil {
		r.letGo(older)
		older.rec.supersede(older, time.Now())
	}
	r.takes[t.owner()] = t
	if t.rec = r.join(t, time.Now()); t.rec == nil {
		t.rec = r.newRecording(t)
	}
	return t
}

// letGo forgets t, which is not recorded any more.
func (r *Recorder) letGo(t *Take) {
	r.decided(t)
	if r.takes[t.owner()] == t {
		delete(r.takes, t.owner())
	}
}

func (t *Take) owner() owner { return ownerOf(&t.begins.Recording) }

// newRecording makes the recording that t will start.
func (r *Recorder) newRecording(t *Take) *recording {
	rec := r.blank(resource.NewID(), t.owner())
	rec.take = t
	return rec
}

func (r *Recorder) blank(id string, of owner) *recording {
	return &recording{
		fs: r.FS, bucket: r.Objects, ledger: r.Ledger, room: r.room, media: r.media, small: r.small, log: r.logger(of, id),
		dir:  filepath.Join(r.Dir, id),
		wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), syncing: make(chan struct{}, 1),
		uploading: -1, requests: requests{stills: r.Stills},
	}
}

func (r *Recorder) logger(of owner, id string) *slog.Logger {
	return r.Log.With(append(of.logged(), "recording", id)...)
}

// begun is the beginning of rec, with the stream t, at the time of its first
// part.
func (r *Recorder) begun(t *Take, at time.Time, rec *recording) *begun {
	at = at.UTC()
	b := t.begins
	b.Account = r.Place.Account
	b.Recording.ID, b.Recording.SessionID = filepath.Base(rec.dir), resource.NewID()
	b.Recording.State, b.Recording.StartedAt = resource.RecordingStarted, resource.Time(at)
	b.Recording.Prefix = r.freePrefix(&b, at)
	if r.Stills == nil {
		b.Thumbnails = nil
	}
	return &b
}

// ensure makes sure that t's recording exists, now that its first part is
// there.
func (r *Recorder) ensure(t *Take, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := t.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()
	switch {
	case r.stopped:
		return errStopped
	case rec.take != t:
		return rec.lost()
	case rec.journal != nil:
		return nil
	}
	b := r.begun(t, at, rec)
	if r.room.full(b.Recording.Bucket) && r.backlogged(b.Recording.Bucket) {
		return r.refuse(t, b, at, r.room.reason(b.Recording.Bucket))
	}
	err := rec.create(b)
	if err == nil {
		err = rec.join(t, at)
	}
	if err != nil {
		_ = rec.removeSpool() // what stays is void, and the next start removes it
		return r.refuse(t, b, at, "the spool cannot be written: "+rootCause(err))
	}
	rec.log.Info("recording started", "stream", t.stream.ID, "bucket", b.Recording.Bucket, "prefix", b.Recording.Prefix)
	r.launch(rec)
	return nil
}

// refuse tells that t's recording cannot start, and returns why. Without a
// journal there is no recording. The mutexes of both are held.
func (r *Recorder) refuse(t *Take, b *begun, at time.Time, reason string) error {
	rec := t.rec
	rec.log.Error("recording cannot be started", "stream", t.stream.ID, "reason", reason)
	rec.take = nil
	rec.state = state{begun: *b, streams: []joined{*t.joins(rec, at)}}
	rec.force(&ending{At: at.UTC(), Failure: reason, Code: resource.RecordingServerError, Refused: true})
	r.launch(rec)
	return errors.New(reason)
}

// launch drives rec, now or as soon as Run runs. r.mu is held.
func (r *Recorder) launch(rec *recording) {
	r.all[filepath.Base(rec.dir)] = rec
	if r.work == nil {
		return
	}
	metrics.RecordingsOpen.Inc()
	ctx, cancel := context.WithCancel(r.work)
	rec.cancel = cancel
	r.drivers.Go(func() {
		defer metrics.RecordingsOpen.Dec()
		defer cancel()
		if rec.run(ctx) {
			r.forget(rec)
		}
	})
}

// forget lets go of a recording that is finished.
func (r *Recorder) forget(rec *recording) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, filepath.Base(rec.dir))
}
