package recorder

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/resource"
)

var (
	durationMS = regexp.MustCompile(`"duration_ms":(\d+)`)
	entryLines = regexp.MustCompile(`(?:#EXT-X-GAP\n)?#EXTINF:([\d.]+),\n(\S+)\n`)
	// with all tags before it
	playlistEntry = regexp.MustCompile(`((?:#EXT-X-.*\n)*)#EXTINF:([\d.]+),\n(\S+)\n`)
	lossID        = regexp.MustCompile(`#EXT-X-DATERANGE:ID="(loss-[^"]*)"`)
)

// checkRecording checks what the bucket has of a recording that ended, and
// counts its pictures.
func (s *stage) checkRecording(r resource.Recording, seen []int) {
	t := s.t
	t.Helper()
	name := "events/recording-ended.json"
	if r.State == resource.RecordingFailed {
		name = "events/recording-failed.json"
	}
	var length float64
	if m := durationMS.FindStringSubmatch(s.world.object(r, name)); m != nil {
		length, _ = strconv.ParseFloat(m[1], 64)
	} else {
		t.Errorf("recording %s is %s, but %s is %q", r.ID, r.State, name, s.world.object(r, name))
	}
	if ms := float64(r.Duration.Milliseconds()); ms != length {
		t.Errorf("%s tells %v ms, the ledger %v", name, length, ms)
	}
	s.checkThumbnails(r)
	folders := []string{s.camera.folder()}
	for _, r := range s.camera.rungs {
		folders = append(folders, r.Name)
	}
	var lines []string      // of the source's playlist, but for the gaps
	objects := [][]string{} // the pictures of each object of the source
	for i, folder := range folders {
		folder := "media/hls/" + folder + "/"
		playlist := s.world.object(r, folder+"playlist.m3u8")
		if playlist == "" {
			if i == 0 && r.Duration > 0 {
				t.Errorf("recording %s of %v has no playlist", r.ID, r.Duration)
			}
			continue
		}
		if !strings.HasSuffix(playlist, "#EXT-X-ENDLIST\n") || strings.Count(playlist, "#EXT-X-ENDLIST") != 1 {
			t.Errorf("recording %s has no end:\n%s", r.ID, playlist)
		}
		var losses []string // by id
		for _, m := range lossID.FindAllStringSubmatch(playlist, -1) {
			if slices.Contains(losses, m[1]) {
				t.Errorf("recording %s: the playlist tells of %s twice", r.ID, m[1])
			}
			losses = append(losses, m[1])
		}
		var total float64
		var here []string
		last := -1
		counters := make(map[int]byte)
		for _, m := range playlistEntry.FindAllStringSubmatch(playlist, -1) {
			entry, m := m[1], m[1:]
			after := strings.Contains(entry, "#EXT-X-DISCONTINUITY\n")
			here = append(here, fmt.Sprint(after, m[1:]))
			seconds, _ := strconv.ParseFloat(m[1], 64)
			total += seconds
			data := []byte(s.world.object(r, folder+m[2]))
			if gap := strings.Contains(entry, "#EXT-X-GAP\n"); gap != (len(data) == 0) {
				t.Errorf("recording %s: %s%s has %d bytes, its entry is a gap: %t", r.ID, folder, m[2], len(data), gap)
			}
			if strings.HasSuffix(m[2], ".ts") && len(data) > 0 {
				if after {
					clear(counters) // something may be missing
				}
				data = frames(t, folder+m[2], data, counters)
			}
			var found []string
			for _, p := range picturesIn(data) {
				n, _ := strconv.Atoi(p.begins)
				if p.begins != p.ends || n <= last {
					t.Fatalf("recording %s: in %s%s picture %s, ending as %s, comes after %d", r.ID, folder, m[2], p.begins, p.ends, last)
				}
				last = n
				found = append(found, p.begins)
				if i == 0 {
					seen[n]++
				}
			}
			if n := bytes.Count(data, []byte("<pic")); n != len(found) {
				t.Errorf("recording %s: %s%s has %d pictures, but %d that are whole", r.ID, folder, m[2], n, len(found))
			}
			if i == 0 {
				if whole := int(seconds*30 + 0.5); len(found) < whole-1 || len(found) > whole {
					t.Errorf("recording %s: %s lasts %.3f s and has %d pictures", r.ID, m[2], seconds, len(found))
				}
				objects = append(objects, found)
			} else if n := len(here) - 1; n < len(objects) {
				want := slices.DeleteFunc(slices.Clone(objects[n]), func(p string) bool {
					n, _ := strconv.Atoi(p)
					return s.holes[i-1][n]
				})
				if !slices.Equal(found, want) {
					t.Errorf("recording %s: %s%s has pictures %v, want %v", r.ID, folder, m[2], found, want)
				}
			}
		}
		if (total*1000-length) > 20 || length-total*1000 > 20 {
			t.Errorf("recording %s: %s tells %v ms, the playlist %v", r.ID, name, length, total*1000)
		}
		if i == 0 {
			lines = here
		} else if !slices.Equal(lines, here) {
			t.Errorf("recording %s: %s has %q, the source %q", r.ID, folder, here, lines)
		}
	}
}

type numbers struct{ begins, ends string }

// picturesIn are the numbers that pictures begin and end with. A regular expression
// would take most of the time of all tests here.
func picturesIn(data []byte) (all []numbers) {
	for {
		_, behind, is := bytes.Cut(data, []byte("<pic"))
		if !is {
			return all
		}
		if end := bytes.Index(behind, []byte("pic>")); end >= 18 && end <= 18+700 {
			all = append(all, numbers{string(behind[:9]), string(behind[end-9 : end])})
		}
		data = behind
	}
}

// frames are the bytes of a transport stream's video, or of its sound if it has
// none. Its counters go on from one object to the next.
func frames(t *testing.T, name string, data []byte, counters map[int]byte) (frames []byte) {
	t.Helper()
	pids := map[int][]byte{}
	if len(data) == 0 || len(data)%tsPacket != 0 {
		t.Errorf("%s has %d bytes", name, len(data))
	}
	for ; len(data) >= tsPacket; data = data[tsPacket:] {
		p := data[:tsPacket]
		if p[0] != 0x47 {
			t.Errorf("%s is torn", name)
			break
		}
		pid := int(p[1]&0x1f)<<8 | int(p[2])
		at := 4
		if p[3]&0x20 != 0 {
			at += 1 + int(p[4])
		}
		if p[3]&0x10 == 0 {
			continue
		}
		if before, ok := counters[pid]; ok && p[3]&0xf != (before+1)&0xf {
			t.Errorf("%s: the counter of PID %#x goes from %d to %d", name, pid, before, p[3]&0xf)
		}
		counters[pid] = p[3] & 0xf
		pids[pid] = append(pids[pid], p[at:]...)
	}
	if video := pids[0x101]; video != nil {
		return video
	}
	return pids[0x100]
}

// checkStored checks each media playlist when it is stored: it names only what
// is there, and goes on where the one before it ended. Media is synced
// before, so that what is stored again is the same.
func (s *stage) checkStored(_ int, call string) error {
	key, ok := strings.CutPrefix(call, "put ")
	if !ok || s.failed.Load() {
		return nil
	}
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if strings.HasSuffix(key, ".ts") || strings.HasSuffix(key, ".mp4") {
		s.mu.Lock()
		defer s.mu.Unlock()
		if before := s.stored[key]; before != nil && !bytes.Equal(before, s.world.tree[key]) {
			s.t.Errorf("%s had %d bytes, then other %d", key, len(before), len(s.world.tree[key]))
		}
		s.stored[key] = s.world.tree[key]
		var id string
		for _, r := range s.world.rows { // which are told of before
			if strings.HasPrefix(key, r.Prefix+"/") {
				id = r.ID
			}
		}
		parts := strings.Split(key, "/") // …/media/hls/720p30/0.ts
		folder, name := parts[len(parts)-2], parts[len(parts)-1]
		if len(s.camera.rungs) > 0 {
			n, extension, _ := strings.Cut(name, ".")
			i := slices.IndexFunc(s.camera.rungs, func(r *rung) bool { return r.Name == folder }) + 1
			name = fmt.Sprintf("%s/%d.%s", n, i, extension)
		}
		if _, is := s.unsynced.Load("/data/spool/" + id + "/" + name); is {
			s.t.Errorf("%s is stored and not synced", key)
		}
	}
	if !strings.HasSuffix(key, "/playlist.m3u8") {
		return nil
	}
	var entries []string
	for _, m := range entryLines.FindAllStringSubmatch(string(s.world.tree[key]), -1) {
		entries = append(entries, m[0])
		_, is := s.world.tree[strings.TrimSuffix(key, "playlist.m3u8")+m[2]]
		if gap := strings.HasPrefix(m[0], "#EXT-X-GAP"); is == gap {
			s.t.Errorf("%s names %s, which is there: %t, a gap: %t", key, m[2], is, gap)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.listed[key]
	if len(before) > len(entries) || strings.Join(before, "") != strings.Join(entries[:len(before)], "") {
		s.t.Errorf("%s had %q, then %q", key, before, entries)
	}
	s.listed[key] = entries
	return nil
}
