package packager

import (
	"slices"
	"strconv"
)

// Sister is another rendition of the same stream, cut at the same instants.
type Sister struct {
	// URI is where players find its playlist, relative to that of the window
	// that has this sister.
	URI    string
	Window *Window
}

// SetSisters says which renditions the playlist reports on, so that a player
// that changes to one knows what to ask it for. None is reported on while it is
// empty or closed. Readers do not wake; they see the sisters in what they read
// next.
func (w *Window) SetSisters(sisters []Sister) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.edge.Load()
	next := e.copy()
	next.sisters = slices.Clone(sisters)
	next.superseded = e.superseded
	w.edge.Store(next)
}

// reports writes where each sister stands now (RFC 8216bis §4.4.5.4).
func (p *playlist) reports(sisters []Sister) {
	for _, s := range sisters {
		e := s.Window.edge.Load()
		msn, part := e.newest()
		if msn < 0 || e.closed {
			continue
		}
		b := append(*p, `#EXT-X-RENDITION-REPORT:URI="`...)
		b = append(append(b, s.URI...), `",LAST-MSN=`...)
		b = strconv.AppendInt(b, msn, 10)
		if part >= 0 {
			b = strconv.AppendInt(append(b, ",LAST-PART="...), int64(part), 10)
		}
		*p = append(b, '\n')
	}
}

// newest is the last part that the playlist lists, or the last segment and -1
// where it lists no parts; -1 both when it is empty.
func (e *edge) newest() (msn int64, part int) {
	last := e.last()
	switch {
	case e.cfg.NoParts:
		return e.lastClosed(), -1
	case last == nil:
		return -1, -1
	}
	return last.msn, len(last.parts) - 1
}
