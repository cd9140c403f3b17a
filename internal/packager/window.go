package packager

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/journal"
	"anabranch/internal/media"
	"anabranch/internal/metrics"
)

// Window is the live edge of one rendition: a minute of media that viewers
// fetch while it grows.
//
//	Append → <msn>.m4s, journal → edge ┬→ Playlist   blocked readers wake,
//	                                   └→ Open       one rendering serves all
//
// Each Append publishes one partial segment. What readers may see of it is an
// edge, a value that never changes: Append makes a new one and puts it in the
// place of the old, so that readers take no lock and a thousand of them share
// one rendered playlist.
//
// A window outlives the process. Its folder holds the segments and a journal
// that says what is in them; [OpenWindow] goes on with the sequence numbers
// wherever the last process stopped, or was killed.
//
// The renditions of a stream have a window each. One leads, by Append; the others
// follow it part by part, by Follow, so that all have the same numbers.
//
// Append, Follow, InsertAdBreak, Interrupt, End, Close and Remove may be called from any
// goroutine and take turns.
type Window struct {
	cfg  WindowConfig
	edge atomic.Pointer[edge] // what readers see

	// mu guards what follows, and every replacement of edge. Under it segments
	// and the journal are written, never synced except when the journal is
	// compacted.
	mu        sync.Mutex
	log       *journal.Log
	compactAt int64    // size of log at which it is compacted
	file      *os.File // of the open segment, nil when there is none
	// numbering is what the next segment goes on from.
	numbering numbering
}

// numbering counts what a playlist may never count backwards.
type numbering struct {
	msn             int64 // Media Sequence Number of the next segment; 0 before the first
	discontinuities int64 // Discontinuity Sequence Number of the last segment
}

// WindowConfig says where a window lives and how it is told.
type WindowConfig struct {
	// Dir is a folder of the window's own. It is made when missing and
	// recovered when not.
	Dir string
	// Span is how much media the playlist lists at least, once there is as
	// much: 60 s when 0, and never less than three target durations.
	Span time.Duration
	// MediaBase is what media URIs in playlists start with, such as
	// "../../../live/abc/"; empty when media lies beside the playlist.
	MediaBase string
	// NoParts leaves partial segments out of the playlists: HLS of ordinary
	// latency.
	NoParts bool
}

const (
	// heldSegments is how many segments, the newest, are kept in memory too.
	heldSegments = 2
	// compactSize is the least size of a journal worth compacting, in bytes.
	compactSize = 256 << 10
)

// OpenWindow opens the window in cfg.Dir, or makes an empty one. A window that
// was closed or whose process was killed is taken up as if it had been
// interrupted; what was not written whole is dropped.
func OpenWindow(cfg WindowConfig) (*Window, error) {
	if cfg.Span == 0 {
		cfg.Span = time.Minute
	}
	cfg.Span = max(cfg.Span, 3*TargetDuration) // RFC 8216bis §6.2.2
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of live window: %w", err)
	}
	w := &Window{cfg: cfg, compactAt: compactSize}
	if err := w.recover(); err != nil {
		return nil, fmt.Errorf("recover live window: %w", err)
	}
	return w, nil
}

// errEnded says that nothing can follow ENDLIST.
var errEnded = errors.New("playlist has ended")

// SetMediaBase changes what media URIs start with, in the next playlist that a
// reader gets. Media itself stays where it is.
func (w *Window) SetMediaBase(base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	if e.cfg.MediaBase == base {
		return
	}
	cfg := *e.cfg
	cfg.MediaBase = base
	next := e.copy()
	next.cfg, next.superseded = &cfg, e.superseded
	w.edge.Store(next)
}

// Append publishes c, whose CMAF chunk is cmaf, as the next partial segment
// and wakes the readers that wait for it. It keeps cmaf, which must not be
// written to any more. After an error the window is as after Interrupt, and
// Append may be tried again with a later chunk.
func (w *Window) Append(c *Chunk, cmaf []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	e := w.edge.Load()
	if err := e.writable(); err != nil {
		return fmt.Errorf("append to live window: %w", err)
	}
	if len(cmaf) == 0 || c.Duration <= 0 {
		return fmt.Errorf("append to live window: part of %d bytes and %d ticks", len(cmaf), c.Duration)
	}
	next, err := w.write(e, c, cmaf)
	if err != nil {
		w.interrupt(e)
		return fmt.Errorf("append to live window: %w", err)
	}
	w.publish(e, next)
	if !next.open {
		w.closeFile()
	}
	w.compact()
	metrics.WindowParts.Inc()
	metrics.WindowBytes.Add(float64(len(cmaf)))
	metrics.WindowAppend.Observe(time.Since(began).Seconds())
	return nil
}

// publish puts next in the place of e and wakes who waits for that.
func (w *Window) publish(e, next *edge) {
	if w.cfg.NoParts && next.open && next.lastClosed() == e.lastClosed() {
		next.superseded, next.texts = e.superseded, e.texts // nothing that a reader sees
		w.edge.Store(next)
		return
	}
	next.prepare(e)
	w.edge.Store(next)
	close(e.superseded)
}

// Interrupt closes the open segment because the publisher is gone. The
// playlist stays as it is, without ENDLIST, and promises no further part
// until the next Append.
func (w *Window) Interrupt() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	if err := e.writable(); err != nil {
		return fmt.Errorf("interrupt live window: %w", err)
	}
	w.interrupt(e)
	return nil
}

// interrupt needs no record: whatever follows in the journal, or nothing, says
// that the segment ended.
func (w *Window) interrupt(e *edge) {
	w.closeFile()
	if e.gap {
		return
	}
	next := e.copy()
	next.open, next.gap = false, true
	w.publish(e, next)
}

// End closes the playlist with ENDLIST. Media stays available until Remove;
// later Appends are errors. The playlist has ended even after an error.
func (w *Window) End() error {
	return w.end(func(next *edge) []adBreak { return next.endBreaks(time.Now(), nil) })
}

// EndWithAd ends the playlist like End, with an ad break behind the last segment:
// a post-roll.
func (w *Window) EndWithAd(id string, planned time.Duration) error {
	return w.end(func(next *edge) []adBreak {
		return next.endBreaks(time.Now(), &AdBreak{ID: id, Planned: planned})
	})
}

// end ends the playlist. breaks changes the ad breaks of the last edge, and returns
// what the journal must know.
func (w *Window) end(breaks func(*edge) []adBreak) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	if e.ended && !e.closed {
		return nil
	}
	if err := e.writable(); err != nil {
		return fmt.Errorf("end live window: %w", err)
	}
	w.closeFile()
	next := e.copy()
	next.open, next.gap, next.ended = false, true, true
	changed := breaks(next)
	w.publish(e, next)
	if err := w.log.Append(entry{Ended: true, AdBreaks: changed}.encode()); err != nil {
		return fmt.Errorf("end live window: %w", err)
	}
	return nil
}

// Close wakes every reader with an error and leaves the files for the next
// OpenWindow.
func (w *Window) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	if e.closed {
		return nil
	}
	w.closeFile()
	next := e.copy()
	next.open, next.closed = false, true
	w.publish(e, next)
	if err := w.log.Close(); err != nil {
		return fmt.Errorf("close live window: %w", err)
	}
	return nil
}

// Remove closes the window and deletes its folder.
func (w *Window) Remove() error {
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.RemoveAll(w.cfg.Dir); err != nil {
		return fmt.Errorf("remove live window: %w", err)
	}
	return nil
}

// Position is where the next stream may begin on the run timeline, in 90 kHz
// ticks: where the last part ends and its last picture has been shown. False
// when the window is empty.
func (w *Window) Position() (media.Ticks, bool) {
	last := w.edge.Load().last()
	if last == nil {
		return 0, false
	}
	return last.end() + last.parts[len(last.parts)-1].tail, true
}

// delete removes the files of expired segments. One that cannot be removed is
// found again by the next OpenWindow.
func (w *Window) delete(expired []*mediaSegment) {
	for _, s := range expired {
		os.Remove(w.path(s.msn))
	}
}

// closeFile closes the open segment's file. Nothing is buffered that closing
// could lose.
func (w *Window) closeFile() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

func (w *Window) path(msn int64) string {
	return filepath.Join(w.cfg.Dir, strconv.FormatInt(msn, 10)+segmentSuffix)
}

// writable says why nothing more can come.
func (e *edge) writable() error {
	switch {
	case e.closed:
		return fs.ErrClosed
	case e.ended:
		return errEnded
	}
	return nil
}
