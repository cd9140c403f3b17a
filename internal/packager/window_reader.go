package packager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"anabranch/internal/media"
)

// PlaylistRequest is what a player may ask of a playlist (RFC 8216bis §6.2.5).
type PlaylistRequest struct {
	// MSN and Part are the segment and the part in it that the playlist has to
	// hold. Part -1 asks for the whole segment; MSN -1 for nothing special.
	MSN  int64
	Part int
	// Skip asks for a delta update without the older segments.
	Skip bool
	// Coding is the form in which the playlist is wanted.
	Coding Coding
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
// it is when [Window.Wait] gives up. The bytes are shared with every other
// reader. Errors are [ErrTooFar], [ErrEmpty], [fs.ErrClosed] and that of ctx.
func (w *Window) Playlist(ctx context.Context, req PlaylistRequest) ([]byte, error) {
	if _, err := w.Wait(ctx, req); err != nil {
		return nil, err
	}
	e := w.edge.Load()
	switch {
	case e.closed:
		return nil, fs.ErrClosed
	case e.empty():
		return nil, ErrEmpty
	}
	return e.playlist(req.Skip, req.Coding), nil
}

// await returns the first edge for which ok is true, or the newest one when
// limit is over.
func (w *Window) await(ctx context.Context, limit time.Duration, ok func(*edge) bool) (*edge, error) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for {
		e := w.edge.Load()
		switch {
		case e.closed:
			return nil, fs.ErrClosed
		case ok(e):
			return e, nil
		}
		select {
		case <-e.superseded:
		case <-timeout.C:
			return w.edge.Load(), nil
		case <-ctx.Done():
			return nil, ctx.Err()
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
	// Params describes the tracks in it.
	Params media.Params
	file   *os.File
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
		return n.kind != partName || n.number != msn || n.part != part || e.open && e.last().gap()
	})
	if err != nil {
		return nil, err
	}
	if n.kind == initName {
		for _, s := range e.segments {
			if s.init.number == n.number {
				return &Media{Content: bytes.NewReader(s.init.data), Params: s.init.params}, nil
			}
		}
		return nil, fs.ErrNotExist
	}
	s := e.find(n.number)
	switch {
	case s == nil, n.kind == segmentName && (e.open && s == e.last() || s.gap()),
		n.kind == partName && (n.part >= len(s.parts) || s.parts[n.part].gap):
		return nil, fs.ErrNotExist
	case n.kind == partName && s.parts[n.part].data != nil:
		return &Media{Content: bytes.NewReader(s.parts[n.part].data), Params: s.init.params}, nil
	}
	file, err := os.Open(w.path(s.msn))
	if err != nil {
		return nil, fmt.Errorf("open media: %w", err)
	}
	if n.kind == segmentName {
		return &Media{Content: file, Params: s.init.params, file: file}, nil
	}
	p := s.parts[n.part]
	return &Media{Content: io.NewSectionReader(file, p.offset, p.size), Params: s.init.params, file: file}, nil
}
