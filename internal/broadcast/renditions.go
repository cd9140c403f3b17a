package broadcast

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/media"
	"anabranch/internal/packager"
	"anabranch/internal/transcode"
)

// renditions are the windows of a broadcast: the lead in the channel's folder,
// which numbers and dates them all, and the others in folders of their own below
// it, by their names. They are the broadcast's, and guarded by its mutex.
type renditions struct {
	dir       string // of the lead
	noParts   bool
	mediaBase func(rendition string) string
	sisterURI func(from, to string) string
	log       *slog.Logger

	lead *packager.Window
	// offered are what viewers choose among, best first. The lead may be missing.
	offered []Rendition
}

// openLead opens or recovers the lead, which is offered alone at first.
func (r *renditions) openLead() (err error) {
	if r.lead, err = r.window(""); err != nil {
		return err
	}
	r.offered = []Rendition{{Window: r.lead}}
	return nil
}

// window opens or recovers the window of a rendition.
func (r *renditions) window(name string) (*packager.Window, error) {
	w, err := packager.OpenWindow(packager.WindowConfig{
		Dir: filepath.Join(r.dir, name), MediaBase: r.mediaBase(name), NoParts: r.noParts,
	})
	if err != nil {
		return nil, fmt.Errorf("open live window %q: %w", name, err)
	}
	return w, nil
}

// recover takes up the windows that an earlier run of the server left below the
// lead. What cannot be played is removed. The lead is offered beside them, unless
// advanced says that the channel's type offers transcoded pictures alone.
func (r *renditions) recover(advanced bool) error {
	folders, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("list live windows of renditions: %w", err)
	}
	var found []Rendition
	for _, f := range folders {
		if _, ok := rank(f.Name()); !ok || !f.IsDir() {
			continue // not ours
		}
		w, err := r.window(f.Name())
		if err == nil {
			err = w.Interrupt()
		}
		if err == nil && w.Info().Playable {
			found = append(found, Rendition{Name: f.Name(), Window: w})
			continue
		}
		if err != nil {
			r.log.Error("live window of a rendition is given up", "rendition", f.Name(), "error", err)
		}
		r.discard(f.Name(), w)
	}
	slices.SortFunc(found, func(a, b Rendition) int {
		rankA, _ := rank(a.Name)
		rankB, _ := rank(b.Name)
		return rankB - rankA
	})
	r.offered = found
	if !advanced || !r.transcoded() {
		r.offered = slices.Insert(r.offered, 0, Rendition{Window: r.lead})
	}
	if last := &r.offered[len(r.offered)-1]; last.Name == transcode.AudioOnly {
		last.OnRequest = r.offered[0].Name == "" // where the source is offered its sound is passed through
	}
	r.link()
	return nil
}

// transcoded says whether there are pictures beside the source's.
func (r *renditions) transcoded() bool {
	return slices.ContainsFunc(r.offered, func(o Rendition) bool { return o.Name != "" && o.Name != transcode.AudioOnly })
}

// rank orders the names of renditions, the better ones higher. It is false for
// what is not such a name.
func rank(name string) (_ int, ok bool) {
	if name == transcode.AudioOnly {
		return 0, true
	}
	side, rate, ok := strings.Cut(name, "p")
	a, err := strconv.ParseUint(side, 10, 16)
	b, err2 := strconv.ParseUint(rate, 10, 10)
	return int(a<<10 | b), ok && err == nil && err2 == nil
}

// arrange opens the windows of exactly these renditions. Those that are there
// already go on. The others are returned: they are to be discarded when nobody
// is led to them any more.
func (r *renditions) arrange(wanted []Rendition) (gone []Rendition, err error) {
	before := slices.Clone(r.offered)
	next := slices.Clone(wanted)
	for i := range next {
		to := &next[i]
		if to.Name == "" {
			to.Window = r.lead
			continue
		}
		at := slices.IndexFunc(before, func(o Rendition) bool { return o.Name == to.Name })
		if at >= 0 {
			to.Window = before[at].Window
			before = slices.Delete(before, at, at+1)
			continue
		}
		if to.Window, err = r.window(to.Name); err != nil {
			r.log.Error("live window of a rendition begins anew", "rendition", to.Name, "error", err)
			r.discard(to.Name, nil)
			if to.Window, err = r.window(to.Name); err != nil {
				break
			}
		}
	}
	if err != nil {
		// The old ones go on. New ones are closed and found again later.
		for _, n := range next {
			if n.Window != nil && n.Window != r.lead && r.find(n.Name) == nil {
				n.Window.Close()
			}
		}
		return nil, err
	}
	r.offered = next
	r.link()
	return slices.DeleteFunc(before, func(o Rendition) bool { return o.Name == "" }), nil
}

// find is the window of a rendition that is offered, nil if it is not.
func (r *renditions) find(name string) *packager.Window {
	for _, o := range r.offered {
		if o.Name == name {
			return o.Window
		}
	}
	return nil
}

// discard removes a window, which may be nil, and its folder.
func (r *renditions) discard(name string, w *packager.Window) {
	var err error
	if w != nil {
		err = w.Remove()
	}
	if err = errors.Join(err, os.RemoveAll(filepath.Join(r.dir, name))); err != nil {
		r.log.Error("live window of a rendition cannot be removed", "rendition", name, "error", err)
	}
}

// link lets each rendition report on the others that all viewers may change to.
func (r *renditions) link() {
	for _, from := range r.offered {
		var sisters []packager.Sister
		for _, to := range r.offered {
			if to.Name != from.Name && !to.OnRequest {
				sisters = append(sisters, packager.Sister{URI: r.sisterURI(from.Name, to.Name), Window: to.Window})
			}
		}
		from.Window.SetSisters(sisters)
	}
}

// others calls do with each window but the lead.
func (r *renditions) others(do func(w *packager.Window) error) (err error) {
	for _, o := range r.offered {
		if o.Window != r.lead {
			err = errors.Join(err, do(o.Window))
		}
	}
	return err
}

// each calls do with every window, the lead first.
func (r *renditions) each(do func(w *packager.Window) error) error {
	return errors.Join(do(r.lead), r.others(do))
}

// position is where the next stream may begin: where all of the media ends.
func (r *renditions) position() (at media.Ticks) {
	at = packager.Origin
	_ = r.each(func(w *packager.Window) error {
		if end, ok := w.Position(); ok {
			at = max(at, end)
		}
		return nil
	})
	return at
}

// setMediaBase changes what media URIs start with.
func (r *renditions) setMediaBase() {
	r.lead.SetMediaBase(r.mediaBase(""))
	for _, o := range r.offered {
		o.Window.SetMediaBase(r.mediaBase(o.Name))
	}
}

// remove deletes all windows. An error says that the old files are not all gone.
func (r *renditions) remove() error {
	return errors.Join(r.others((*packager.Window).Close), r.lead.Remove())
}
