package packager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"anabranch/internal/media"
)

// edge is what readers may see of a window between one change and the next.
// Neither it nor anything it leads to is ever written to again, but for the
// texts, which are made when first asked for.
type edge struct {
	cfg *WindowConfig
	// segments are all that can be fetched, oldest first, numbered without a
	// hole. The first few have left the playlist.
	segments []*mediaSegment
	unlisted int  // how many have
	open     bool // the last segment still grows
	gap      bool // nobody publishes; never while open
	ended    bool // ENDLIST
	closed   bool // nothing is served any more

	superseded chan struct{} // closed when another edge is in this one's place
	texts      [4]text       // the playlist, by [variant]
}

// text is a rendering that is made once.
type text struct {
	once  sync.Once
	bytes []byte
}

// mediaSegment is a Media Segment. While the window's last one grows, each part
// makes a new value of it.
type mediaSegment struct {
	msn             int64 // Media Sequence Number
	init            *initSection
	time            time.Time        // EXT-X-PROGRAM-DATE-TIME
	discontinuity   bool             // EXT-X-DISCONTINUITY
	discontinuities int64            // Discontinuity Sequence Number
	parts           []partialSegment // never empty once published
	expires         time.Time        // when it may be deleted; zero while it is listed
}

// partialSegment is a Partial Segment: a slice of its segment's file.
type partialSegment struct {
	offset, size    int64 // bytes
	start, duration media.Ticks
	independent     bool
	frames          int    // of video
	data            []byte // nil when it is in the file alone
}

// initSection is a Media Initialization Section. Its number is that of the
// first segment it belongs to.
type initSection struct {
	number int64
	params media.Params
	data   []byte
}

func (s *mediaSegment) size() int64 {
	if len(s.parts) == 0 {
		return 0
	}
	last := s.parts[len(s.parts)-1]
	return last.offset + last.size
}

func (s *mediaSegment) end() media.Ticks {
	last := s.parts[len(s.parts)-1]
	return last.start + last.duration
}

func (s *mediaSegment) duration() (d media.Ticks) {
	for i := range s.parts {
		d += s.parts[i].duration
	}
	return d
}

// copy returns an edge that may be changed until it is published.
func (e *edge) copy() *edge {
	return &edge{
		cfg: e.cfg, segments: slices.Clone(e.segments), unlisted: e.unlisted,
		open: e.open, gap: e.gap, ended: e.ended, closed: e.closed,
		superseded: make(chan struct{}),
	}
}

func (e *edge) last() *mediaSegment {
	if len(e.segments) == 0 {
		return nil
	}
	return e.segments[len(e.segments)-1]
}

// listed are the segments in the playlist, the open one too.
func (e *edge) listed() []*mediaSegment { return e.segments[e.unlisted:] }

// whole are the segments in the playlist that do not grow any more.
func (e *edge) whole() []*mediaSegment {
	if e.open {
		return e.segments[e.unlisted : len(e.segments)-1]
	}
	return e.listed()
}

// lastClosed is the number of the newest segment that is whole, -1 when there
// is none.
func (e *edge) lastClosed() int64 {
	if whole := e.whole(); len(whole) > 0 {
		return whole[len(whole)-1].msn
	}
	return -1
}

// unlist takes the oldest segments off the playlist while span is left without
// them. They stay available for the time RFC 8216bis §6.2.2 asks for, and
// longer: their own duration and that of the playlist, from now.
func (e *edge) unlist(span time.Duration, now time.Time) (gone []unlistedEntry) {
	var total media.Ticks
	for _, s := range e.listed() {
		total += s.duration()
	}
	for ; len(e.listed()) > 0; e.unlisted++ {
		old := *e.listed()[0]
		d := old.duration()
		if (total - d).Duration(media.VideoRate) < span {
			return gone
		}
		old.expires = now.Add((total + d).Duration(media.VideoRate))
		e.segments[e.unlisted] = &old
		gone = append(gone, unlistedEntry{MSN: old.msn, Expires: old.expires})
		total -= d
	}
	return gone
}

// expire drops the segments that need not be available any more.
func (e *edge) expire(now time.Time) (gone []*mediaSegment) {
	for e.unlisted > 0 && e.segments[0].expires.Before(now) {
		gone = append(gone, e.segments[0])
		e.segments = e.segments[1:]
		e.unlisted--
	}
	return gone
}

// release leaves all but the newest n segments to their files.
func (e *edge) release(n int) {
	for i := len(e.segments) - n - 1; i >= 0 && e.segments[i].parts[0].data != nil; i-- {
		old := *e.segments[i]
		old.parts = slices.Clone(old.parts)
		for k := range old.parts {
			old.parts[k].data = nil
		}
		e.segments[i] = &old
	}
}

// PlaylistRequest is what a player may ask of a playlist (RFC 8216bis §6.2.5).
type PlaylistRequest struct {
	// MSN and Part are the segment and the part in it that the playlist has to
	// hold. Part -1 asks for the whole segment; MSN -1 for nothing special.
	MSN  int64
	Part int
	// Skip asks for a delta update without the older segments.
	Skip bool
	// Gzip asks for the playlist in compressed form.
	Gzip bool
}

// How long readers are kept waiting at most. Players that ask for a part give
// up sooner, hls.js after 0.8 target durations; an answer without news is
// better than none.
const (
	segmentWait = 5 * time.Second
	partWait    = 3 * time.Second
)

var (
	// ErrTooFar says that a playlist was asked for which nobody can be waiting
	// for yet.
	ErrTooFar = errors.New("more than two segments ahead of the live edge")
	// ErrEmpty says that there is no media yet to list.
	ErrEmpty = errors.New("live window is empty")
)

// Wait blocks until the playlist holds what req asks for and says whether it
// does. It waits 3 s at most for a part, 5 s for a whole segment.
func (w *Window) Wait(ctx context.Context, req PlaylistRequest) (bool, error) {
	if req.MSN < 0 {
		return true, nil
	}
	if w.edge.Load().tooFar(req.MSN) {
		return false, ErrTooFar
	}
	limit := partWait
	if req.Part < 0 || w.cfg.NoParts {
		limit = segmentWait
	}
	e, err := w.await(ctx, limit, func(e *edge) bool { return e.holds(req.MSN, req.Part) })
	if err != nil {
		return false, err
	}
	return e.holds(req.MSN, req.Part), nil
}

// Playlist returns the Media Playlist once it holds what req asks for, or as
// it is when [Window.Wait] gives up. The bytes are shared with every other reader. Errors are
// [ErrTooFar], [ErrEmpty], [fs.ErrClosed] and that of ctx.
func (w *Window) Playlist(ctx context.Context, req PlaylistRequest) ([]byte, error) {
	if _, err := w.Wait(ctx, req); err != nil {
		return nil, err
	}
	e := w.edge.Load()
	switch {
	case e.closed:
		return nil, fs.ErrClosed
	case len(e.listed()) == 0, e.cfg.NoParts && len(e.whole()) == 0:
		return nil, ErrEmpty
	}
	return e.playlist(req.Skip, req.Gzip), nil
}

// await returns the first edge for which ok is true, or the newest one when
// limit is over.
func (w *Window) await(ctx context.Context, limit time.Duration, ok func(*edge) bool) (*edge, error) {
	e := w.edge.Load()
	if e.closed {
		return nil, fs.ErrClosed
	}
	if ok(e) {
		return e, nil
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		select {
		case <-e.superseded:
		case <-timeout.C:
			return w.edge.Load(), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		e = w.edge.Load()
		if e.closed {
			return nil, fs.ErrClosed
		}
		if ok(e) {
			return e, nil
		}
	}
}

// holds says whether the playlist has a part of a segment, or all of it with
// part -1. A part behind the end of a segment means the first of the next.
func (e *edge) holds(msn int64, part int) bool {
	last := e.last()
	switch {
	case e.ended:
		return true
	case last == nil || msn > last.msn:
		return false
	case part < 0 || e.cfg.NoParts:
		return msn <= e.lastClosed()
	case msn == last.msn:
		return part < len(last.parts)
	}
	return true
}

// tooFar says whether a request lies so far ahead that it is a mistake. How far
// ahead a part of the growing segment may lie does not matter: players that use
// no parts ask for what will be the segment's last.
func (e *edge) tooFar(msn int64) bool {
	last := e.last()
	return !e.ended && !e.closed && last != nil && msn > last.msn+2
}

// coming is the part that is appended next, unless the segment ends before it.
func (e *edge) coming() (msn int64, part int) {
	last := e.last()
	switch {
	case last == nil || e.ended:
		return -1, -1
	case e.open:
		return last.msn, len(last.parts)
	}
	return last.msn + 1, 0
}

// Media is a segment, a part or an init section to be served.
type Media struct {
	// Content is an *os.File where it can be, so that the kernel sends it.
	Content io.ReadSeeker
	file    *os.File
}

// Close frees what Content holds.
func (m *Media) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// Open opens what a playlist names. The part that comes next is waited for, 3 s
// at most. The error wraps [fs.ErrNotExist] when there is nothing of that
// name.
func (w *Window) Open(ctx context.Context, name string) (*Media, error) {
	n, ok := parseName(name)
	if !ok {
		return nil, fs.ErrNotExist
	}
	e, err := w.await(ctx, partWait, func(e *edge) bool {
		msn, part := e.coming()
		return n.kind != partName || n.number != msn || n.part != part
	})
	if err != nil {
		return nil, err
	}
	if n.kind == initName {
		for _, s := range e.segments {
			if s.init.number == n.number {
				return &Media{Content: bytes.NewReader(s.init.data)}, nil
			}
		}
		return nil, fs.ErrNotExist
	}
	s := e.find(n.number)
	switch {
	case s == nil, n.kind == segmentName && e.open && s == e.last(), n.kind == partName && n.part >= len(s.parts):
		return nil, fs.ErrNotExist
	case n.kind == partName && s.parts[n.part].data != nil:
		return &Media{Content: bytes.NewReader(s.parts[n.part].data)}, nil
	}
	file, err := os.Open(w.path(s.msn))
	if err != nil {
		return nil, fmt.Errorf("open media: %w", err)
	}
	if n.kind == segmentName {
		return &Media{Content: file, file: file}, nil
	}
	p := s.parts[n.part]
	return &Media{Content: io.NewSectionReader(file, p.offset, p.size), file: file}, nil
}

func (e *edge) find(msn int64) *mediaSegment {
	if len(e.segments) == 0 {
		return nil
	}
	i := msn - e.segments[0].msn
	if i < 0 || i >= int64(len(e.segments)) {
		return nil
	}
	return e.segments[i]
}
