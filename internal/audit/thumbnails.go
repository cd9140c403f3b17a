package audit

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/objectstore"
	"anabranch/internal/resource"
)

// maxThumbnail bounds a thumbnail, in bytes.
const maxThumbnail = 8 << 20

// checkThumbnails checks that the numbered thumbnails have no holes, and that
// what is told of is there.
func (a *audit) checkThumbnails(m *metadata, deep bool) error {
	if m == nil {
		return nil
	}
	due := m.Status != resource.RecordingStarted && !a.rec.Open // it is said that there are some
	var all []string
	// A channel's are thumb0.jpg, thumb1.jpg and so on, a participant's 1.jpg, 2.jpg.
	prefix, next := "thumb", 0
	if a.rec.OfParticipant() {
		prefix, next = "", 1
	}
	if s := m.Media.Thumbnails; s != nil {
		folder := s.folder() + "/"
		var numbers []int
		for name := range a.sizes {
			file, inside := strings.CutPrefix(name, folder)
			if n := thumbnailNumber(prefix, file); inside && n >= next {
				numbers = append(numbers, n)
				all = append(all, name)
			}
		}
		slices.Sort(numbers)
		a.Thumbnails = len(numbers)
		if due && len(numbers) == 0 {
			a.problem(ObjectMissing, s.Path, "thumbnails are told of, and there are none")
		}
		for _, n := range numbers {
			// Of what is being written the list may be older at its beginning.
			if n > next && !a.rec.Open {
				a.problem(NumberGap, s.Path, "%s%d.jpg comes behind %d", prefix, n, next-1)
			}
			next = n + 1
		}
	}
	if s := m.Media.Latest; s != nil {
		name := s.folder()
		if a.rec.OfParticipant() {
			name += "/thumb.jpg"
		}
		if _, there := a.sizes[name]; there || due {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	for _, name := range all {
		a.checkObject(name, 0)
		if deep && a.sizes[name] > 0 {
			if err := a.readThumbnail(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// folder is where thumbnails are; of a channel's latest, that itself.
func (s *still) folder() string {
	if len(s.Renditions) == 0 {
		return s.Path
	}
	return path.Join(s.Path, s.Renditions[0].Path)
}

// thumbnailNumber is that of <prefix><N>.jpg, -1 for any other name.
func thumbnailNumber(prefix, file string) int {
	digits, prefixed := strings.CutPrefix(file, prefix)
	digits, suffixed := strings.CutSuffix(digits, ".jpg")
	n, err := strconv.Atoi(digits)
	if !prefixed || !suffixed || err != nil || n < 0 || strconv.Itoa(n) != digits {
		return -1
	}
	return n
}

// readThumbnail reads a thumbnail to its end.
func (a *audit) readThumbnail(name string) error {
	piece, err := a.objects.Read(a.ctx, a.rec.Bucket, a.rec.Prefix+"/"+name, objectstore.Reading{})
	if errors.Is(err, objectstore.ErrNotFound) {
		return nil // it was removed just now
	}
	if err != nil {
		return err
	}
	defer piece.Body.Close()
	text, err := io.ReadAll(io.LimitReader(piece.Body, maxThumbnail+1))
	if err != nil {
		return fmt.Errorf("read object %s: %w", name, err)
	}
	if _, err := jpeg.DecodeConfig(bytes.NewReader(text)); err != nil {
		a.problem(ThumbnailBroken, name, "it is not a JPEG: %v", err)
	} else if !bytes.HasSuffix(text, []byte{0xFF, 0xD9}) { // the end of the image
		a.problem(ThumbnailBroken, name, "it is torn off, or too large")
	}
	return nil
}
