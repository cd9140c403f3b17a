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

// arrange opens the windows of exactly these renditions, but for those that
// cannot be opened. Those that are there already go on. The others are returned:
// they are to be discarded when nobody is led to them any more.
func (r *renditions) arrange(wanted []Rendition) (gone []Rendition) {
	gone = slices.DeleteFunc(slices.Clone(r.offered), func(o Rendition) bool {
		return o.Name == "" || slices.ContainsFunc(wanted, func(w Rendition) bool { return w.Name == o.Name })
	})
	var next []Rendition
	for _, to := range wanted {
		switch to.Window = r.find(to.Name); {
		case to.Name == "":
			to.Window = r.lead
		case to.Window == nil:
			to.Window = r.anew(to.Name)
		}
		if to.Window != nil {
			next = append(next, to)
		}
	}
	r.offered = next
	r.link()
	return gone
}

// anew opens the window of a rendition, nil if that cannot be done: the
// rendition's loss is nobody else's.
func (r *renditions) anew(name string) *packager.Window {
	w, err := r.window(name)
	if err != nil {
		r.log.Error("live window of a rendition begins anew", "rendition", name, "error", err)
		r.discard(name, nil)
		w, err = r.window(name)
	}
	if err != nil {
		r.log.Error("rendition is left out", "rendition", name, "error", err)
		return nil
	}
	return w
}

// offerLead offers the lead too, before the others.
func (r *renditions) offerLead() {
	r.offered = slices.Insert(slices.Clone(r.offered), 0, Rendition{Window: r.lead})
	r.link()
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
