// Package internal_test checks what is true of all packages together.
package internal_test

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bands is the map of the code, from what talks to the outside down to the
// words everyone speaks. A package imports from the bands below its own.
var bands = []struct {
	name     string
	packages []string
}{
	{"command", []string{"cmd/anabranch"}},
	{"app", []string{"internal/app"}},
	{"edges", []string{
		"internal/api", "internal/api/lowlatency", "internal/api/realtime", "internal/api/recordings",
		"internal/api/tags", "internal/api/apitest", "internal/ingest", "internal/playback",
		"internal/signaling", "internal/console", "internal/events", "internal/cluster", "internal/store",
	}},
	{"engines", []string{"internal/broadcast", "internal/recorder", "internal/capture", "internal/stage", "internal/composition"}},
	{"machines", []string{
		"internal/packager", "internal/journal", "internal/transcode", "internal/rtc", "internal/objectstore", "internal/auth",
		"internal/audit",
	}},
	{"words", []string{"internal/resource", "internal/media", "internal/metrics", "internal/disk", "internal/disk/disktest"}},
}

// sideways are the imports within one band that are meant to be.
var sideways = map[string]string{
	"internal/api/lowlatency": "internal/api",
	"internal/api/realtime":   "internal/api",
	"internal/api/recordings": "internal/api",
	"internal/api/tags":       "internal/api",
	"internal/api/apitest":    "internal/api",
	"internal/audit":          "internal/objectstore",
	"internal/broadcast":      "internal/recorder",
	"internal/capture":        "internal/recorder",
	"internal/disk/disktest":  "internal/disk",
	"internal/packager":       "internal/journal",
}

// outside holds what speaks to the finished program only: it imports nothing
// of this module, in its tests neither.
const outside = "e2e"

// module is the path that imports of this module begin with.
const module = "anabranch/"

// folder is a package, named by its folder in the module.
type folder struct {
	path string
	*build.Package
}

// own cuts imports down to those of this module, as folders.
func own(imports []string) (paths []string) {
	for _, i := range imports {
		if path, ok := strings.CutPrefix(i, module); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		from := p.path
		if from == outside || strings.HasPrefix(from, outside+"/") {
			for _, to := range own(slices.Concat(p.Imports, p.TestImports, p.XTestImports)) {
				if !strings.HasPrefix(to, outside+"/") {
					t.Errorf("%s imports %s, but it knows the program only from outside", from, to)
				}
			}
			continue
		}
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		band := bandOf(from)
		if band < 0 {
			t.Errorf("%s is in no band: give it a place on the map", from)
			continue
		}
		for _, to := range own(p.Imports) {
			if below := bandOf(to); below <= band && sideways[from] != to {
				t.Errorf("%s (%s) must not import %s: declare an interface, and let app hand over the value",
					from, bands[band].name, to)
			}
		}
	}
}

func TestPackagesTellTheirStory(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.path)
		}
	}
}

// bandOf is the index of the band that path is in, -1 when there is none.
func bandOf(path string) int {
	for i, b := range bands {
		if slices.Contains(b.packages, path) {
			return i
		}
	}
	return -1
}

// packages lists the packages of the module.
func packages(t *testing.T) (all []folder) {
	t.Helper()
	const root = ".."
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		path, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		if name := d.Name(); path != "." && (strings.ContainsAny(name[:1], "._") || slices.Contains(notCode, name)) {
			return fs.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		if none := (*build.NoGoError)(nil); errors.As(err, &none) {
			return nil
		}
		all = append(all, folder{filepath.ToSlash(path), p})
		return err
	})
	if err != nil {
		t.Fatalf("read packages: %v", err)
	}
	return all
}

// notCode are the names of folders without Go code of ours.
var notCode = []string{"bin", "data", "node_modules", "testdata"}
