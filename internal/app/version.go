package app

import (
	"runtime/debug"
)

// version and commit are set by the linker in releases:
// -ldflags "-X anabranch/internal/app.version=v1.2.3 -X …".
var version, commit string

// Version is the release and the commit it was built from, such as
// "anabranch v1.2.3 (commit 0123456789ab)".
func Version() string {
	v, c := version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		changed := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && c == "":
				c = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = ", changed"
			}
		}
		if commit == "" && c != "" {
			c = c[:min(len(c), 12)] + changed
		}
	}
	if v == "" {
		v = "(devel)"
	}
	if c == "" {
		return "anabranch " + v
	}
	return "anabranch " + v + " (commit " + c + ")"
}
