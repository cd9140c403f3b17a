package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// BenchmarkStageRecord measures what recording the publishers of a stage costs,
// the server and its ffmpeg together, beside the same stage unrecorded, and
// beside as many ffmpeg alone that read such media in real time, copy the
// pictures, encode the sound as AAC, and write segments.
func BenchmarkStageRecord(b *testing.B) {
	const publishers = 12
	d := benchTime() / 2
	film := scene{width: 1280, height: 720, bitrate: 1_500_000, beats: true}
	if _, err := film.tape(); err != nil {
		b.Fatal(err)
	}
	plain := benchRecording(b, film, publishers, d, false)
	recorded := benchRecording(b, film, publishers, d, true)
	alone := benchRemux(b, film, publishers, d)

	table := fmt.Sprintf("| %d publishers of 720p30 at 1.5 Mbit/s, with sound | processors | of them the server's own | resident MiB | of them the server's own | beside ffmpeg |\n|---|--:|--:|--:|--:|--:|\n", publishers)
	processors := func(u usage) float64 { return u.cpu.Seconds() / u.took.Seconds() }
	for _, row := range []struct {
		name     string
		all, own usage
	}{
		{"ffmpeg: Opus to AAC, pictures copied", alone, usage{took: 1}},
		{"anabranch, not recorded", plain.all, plain.own},
		{"anabranch, recorded", recorded.all, recorded.own},
	} {
		table += fmt.Sprintf("| %s | %.2f | %.2f | %.0f | %.0f | × %.2f |\n", row.name, processors(row.all), processors(row.own), row.all.resident, row.own.resident,
			processors(row.all)/processors(alone))
	}
	fmt.Printf("\n%s\nOn %d processors, shared with the publishers. Of %d recordings, %d are whole: no picture is missing. Sound is at most %.1f ms from its pictures.\n\n",
		table, runtime.NumCPU(), publishers, recorded.whole, recorded.apart)
}

// stageRecorded is what a stage took.
type stageRecorded struct {
	all, own usage // with ffmpeg and without
	whole    int
	apart    float64 // ms
}

func benchRecording(b *testing.B, film scene, publishers int, d time.Duration, record bool) (u stageRecorded) {
	b.Helper()
	s := startServer(b, "--log-level", "info")
	r := s.newRoom()
	if record {
		r = s.newRecordedRoom(settings{"hlsConfiguration": settings{"targetSegmentDurationSeconds": 6}})
	}
	all, err := publishAll(film, r.guests(publishers))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		for _, out := range all {
			out.stop()
			out.close()
		}
		s.stop()
	}()
	time.Sleep(settle)
	pids := []int{s.pid()}
	if record {
		pids = append(pids, s.ffmpegs(b)...)
	}
	s.profiled("stage-record-"+strconv.FormatBool(record), d, func() {
		began, before := time.Now(), cpuTime(b, s.pid())
		u.all = measure(b, d, pids...)
		u.own = usage{cpu: cpuTime(b, s.pid()) - before, took: time.Since(began), resident: resident(b, s.pid())}
	})
	if !record {
		return u
	}
	for _, out := range all {
		out.hangUp()
		out.stop()
	}
	for _, out := range all {
		one := out.guest.waitTakes(1)[0]
		pieces := one.stretches(b, one.check(b))
		now := pieces[0].rhythm()
		if len(pieces) == 1 && now.missing == 0 && now.pictures >= len(out.shots())-tapeRate-tapeRate/6 {
			u.whole++
		}
		u.apart = max(u.apart, 1000*now.skews.at(1), -1000*now.skews.at(0))
	}
	return u
}

// benchRemux runs so many ffmpeg in real time.
func benchRemux(b *testing.B, film scene, count int, d time.Duration) usage {
	b.Helper()
	dir := b.TempDir()
	file := filepath.Join(dir, "film.mkv")
	rate := strconv.Itoa(film.bitrate)
	if _, err := ffmpegOutput(file, "-f", "lavfi", "-i", film.picture(), "-f", "lavfi", "-i", film.sound(), "-t", strconv.Itoa(int((settle + d + 10*time.Second).Seconds())),
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-g", "30",
		"-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20"); err != nil {
		b.Fatal(err)
	}
	var pids []int
	for i := range count {
		cmd := exec.CommandContext(b.Context(), "ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-re", "-i", file, "-c:v", "copy", "-c:a", "aac", "-b:a", "128k",
			"-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "6", "-hls_playlist_type", "event", "-hls_fmp4_init_filename", fmt.Sprintf("init-%d.mp4", i), filepath.Join(dir, fmt.Sprintf("%d.m3u8", i)))
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		pids = append(pids, cmd.Process.Pid)
	}
	time.Sleep(settle)
	return measure(b, d, pids...)
}
