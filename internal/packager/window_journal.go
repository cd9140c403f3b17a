package packager

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/disk"
	"anabranch/internal/journal"
	"anabranch/internal/media"
)

const (
	journalName   = "journal"
	segmentSuffix = ".m4s"
)

// entry is a record of the window's journal: all that one Append changed. That
// a segment has ended needs no record, as either the next begins or the window
// is taken up behind it.
type entry struct {
	Init     *initEntry      `json:"init,omitempty"`
	Segment  *segmentEntry   `json:"segment,omitempty"`
	Part     *partEntry      `json:"part,omitempty"`
	AdBreaks []adBreak       `json:"adBreaks,omitempty"`
	Unlisted []unlistedEntry `json:"unlisted,omitempty"`
	Ended    bool            `json:"ended,omitempty"`
}

// initEntry holds an init section itself: viewers must get the same bytes
// under its name whatever version of the server comes next.
type initEntry struct {
	Number      int64  `json:"number"`
	SPS         []byte `json:"sps,omitempty"`
	PPS         []byte `json:"pps,omitempty"`
	AudioConfig []byte `json:"audioConfig,omitempty"`
	Data        []byte `json:"data"`
}

// segmentEntry begins a segment, of the init section told last.
type segmentEntry struct {
	MSN             int64     `json:"msn"`
	Time            time.Time `json:"time"`
	Discontinuity   bool      `json:"discontinuity,omitempty"`
	Discontinuities int64     `json:"discontinuities"`
}

// partEntry adds a part behind the others of the segment told last.
type partEntry struct {
	Size        int64       `json:"size"`
	Start       media.Ticks `json:"start"`
	Duration    media.Ticks `json:"duration"`
	Independent bool        `json:"independent,omitempty"`
	Frames      int         `json:"frames"`
	Tail        media.Ticks `json:"tail,omitempty"`
	Gap         bool        `json:"gap,omitempty"` // then Size is 0
}

// unlistedEntry takes a segment off the playlist.
type unlistedEntry struct {
	MSN     int64     `json:"msn"`
	Expires time.Time `json:"expires"`
}

func (e entry) encode() []byte {
	rec, err := json.Marshal(e)
	if err != nil {
		panic(err) // no field can fail
	}
	return rec
}

func (i *initSection) entry() *initEntry {
	r := &initEntry{Number: i.number, Data: i.data}
	if v := i.params.Video; v != nil {
		r.SPS, r.PPS = v.SPS, v.PPS
	}
	if a := i.params.Audio; a != nil {
		r.AudioConfig = a.Config
	}
	return r
}

func (s *mediaSegment) entry() *segmentEntry {
	return &segmentEntry{MSN: s.msn, Time: s.time, Discontinuity: s.discontinuity, Discontinuities: s.discontinuities}
}

func (p *partialSegment) entry() *partEntry {
	return &partEntry{Size: p.size, Start: p.start, Duration: p.duration, Independent: p.independent, Frames: p.frames, Tail: p.tail, Gap: p.gap}
}

// compact writes the journal anew when most of it is about segments that are
// gone.
func (w *Window) compact() {
	if w.log.Size() < w.compactAt {
		return
	}
	// When it cannot be written anew the old one goes on, and grows.
	_ = w.log.Rewrite(w.edge.Load().entries())
	w.compactAt = max(compactSize, 4*w.log.Size())
}

// entries tells an edge to an empty journal.
func (e *edge) entries() (recs [][]byte) {
	var of *initSection
	for _, s := range e.segments {
		rec := entry{Segment: s.entry()}
		if s.init != of {
			of = s.init
			rec.Init = of.entry()
		}
		for i := range s.parts {
			rec.Part = s.parts[i].entry()
			recs = append(recs, rec.encode())
			rec = entry{}
		}
		if !s.expires.IsZero() {
			recs = append(recs, entry{Unlisted: []unlistedEntry{{s.msn, s.expires}}}.encode())
		}
	}
	if len(e.breaks) > 0 {
		recs = append(recs, entry{AdBreaks: e.breaks}.encode())
	}
	if e.ended {
		recs = append(recs, entry{Ended: true}.encode())
	}
	return recs
}

// recover reads the journal and makes the folder agree with it.
func (w *Window) recover() error {
	e := &edge{cfg: &w.cfg, gap: true, superseded: make(chan struct{}), texts: new(texts)}
	var of *initSection
	log, err := journal.Open(disk.OS, filepath.Join(w.cfg.Dir, journalName), func(rec []byte) error {
		var r entry
		if err := json.Unmarshal(rec, &r); err != nil {
			return fmt.Errorf("decode record: %w", err)
		}
		if r.Init != nil {
			var err error
			if of, err = r.Init.section(); err != nil {
				return err
			}
		}
		return e.apply(&r, of)
	})
	if err != nil {
		return err
	}
	w.log = log
	w.goOnFrom(e)
	if err := w.check(e); err != nil {
		log.Close()
		return err
	}
	w.edge.Store(e)
	w.compact()
	return nil
}

// goOnFrom sets the numbering behind the last segment of e, if there is one.
func (w *Window) goOnFrom(e *edge) {
	if last := e.last(); last != nil {
		w.numbering = numbering{msn: last.msn + 1, discontinuities: last.discontinuities}
	}
}

// apply repeats what a record tells.
func (e *edge) apply(r *entry, of *initSection) error {
	if s := r.Segment; s != nil {
		switch last := e.last(); {
		case of == nil:
			return fmt.Errorf("segment %d has no init section", s.MSN)
		case last != nil && s.MSN != last.msn+1:
			return fmt.Errorf("segment %d follows segment %d", s.MSN, last.msn)
		}
		e.segments = append(e.segments, &mediaSegment{
			msn: s.MSN, init: of, time: s.Time,
			discontinuity: s.Discontinuity, discontinuities: s.Discontinuities,
		})
	}
	if p := r.Part; p != nil {
		last := e.last()
		if last == nil || (p.Size <= 0) != p.Gap || p.Size < 0 || p.Duration <= 0 {
			return errors.New("part has no segment, size or duration")
		}
		last.parts = append(last.parts, partialSegment{
			offset: last.size(), size: p.Size, start: p.Start, duration: p.Duration,
			independent: p.Independent, frames: p.Frames, tail: p.Tail, gap: p.Gap,
		})
	}
	for _, u := range r.Unlisted {
		s := e.find(u.MSN)
		if s == nil {
			return fmt.Errorf("segment %d was taken off the playlist and is not there", u.MSN)
		}
		s.expires = u.Expires
		e.unlisted = max(e.unlisted, int(s.msn-e.segments[0].msn)+1)
	}
	for _, b := range r.AdBreaks {
		e.put(b)
	}
	e.ended = e.ended || r.Ended
	return nil
}

// section is the init section that r tells.
func (r *initEntry) section() (*initSection, error) {
	i := &initSection{number: r.Number, data: r.Data}
	var err error
	if r.SPS != nil {
		i.params.Video, err = media.ParseH264(r.SPS, r.PPS)
	}
	if err == nil && r.AudioConfig != nil {
		i.params.Audio, err = media.ParseAAC(r.AudioConfig)
	}
	return i, err
}

// check drops what the files do not hold, which after a power cut can be less
// than the journal tells, and deletes files that belong to nothing.
func (w *Window) check(e *edge) error {
	e.expire(time.Now())
	sizes, err := w.sizes()
	if err != nil {
		return err
	}
	// The newest segments lose what was torn off their end.
	torn := false
	for last := e.last(); last != nil; last = e.last() {
		for len(last.parts) > 0 && last.size() > sizes[last.msn] {
			last.parts = last.parts[:len(last.parts)-1]
			torn = true
		}
		if len(last.parts) > 0 {
			break
		}
		e.segments = e.segments[:len(e.segments)-1]
		e.unlisted = min(e.unlisted, len(e.segments))
	}
	// A hole further back ends the playlist's past.
	for i := len(e.segments) - 1; i >= 0; i-- {
		if s := e.segments[i]; len(s.parts) == 0 || s.size() > sizes[s.msn] {
			e.segments = e.segments[i+1:]
			e.unlisted = max(0, e.unlisted-i-1)
			break
		}
	}
	e.forgetBreaks()
	if torn {
		e.tearBreaks()
	}
	if torn && e.last() != nil {
		// What comes next takes the place of what the journal still tells.
		w.goOnFrom(e)
		if err := w.log.Rewrite(e.entries()); err != nil {
			return err
		}
	}
	for msn, size := range sizes {
		path := w.path(msn)
		switch s := e.find(msn); {
		case s == nil:
			err = os.Remove(path)
		case size > s.size():
			err = os.Truncate(path, s.size())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sizes are those of the segment files in the folder, in bytes.
func (w *Window) sizes() (map[int64]int64, error) {
	files, err := os.ReadDir(w.cfg.Dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[int64]int64)
	for _, f := range files {
		n, ok := parseName(f.Name())
		if !ok || n.kind != segmentName {
			continue
		}
		info, err := f.Info()
		if err != nil {
			return nil, err
		}
		sizes[n.number] = info.Size()
	}
	return sizes, nil
}
