package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Clients that others made publish, subscribe, and understand each other:
// GStreamer's webrtcbin and aiortc, each with the ICE, DTLS and RTP of its own.
func stageClients(t *testing.T, s *server) {
	const enough = 100 // as clients have it
	file := filepath.Join(t.TempDir(), "film.mkv")
	if _, err := ffmpegOutput(file, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-f", "lavfi", "-i", "anoisesrc=amplitude=0.2:sample_rate=48000",
		"-t", "30", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "30", "-b:v", "250k",
		"-c:a", "libopus", "-b:a", "32k"); err != nil {
		t.Fatal(err)
	}
	clients := []string{"gstreamer.py", "aiortc.py"}
	for _, publisher := range clients {
		t.Run(publisher, func(t *testing.T) {
			r := s.in(t).newRoom()
			ana, listener := r.guest(), r.guest().listen()
			sending := startClient(t, publisher, "publish", ana.publishURL(), ana.token, "60", file)
			listener.waitState(20*time.Second, ana.id+"!", listener.guest.id)
			in := r.guest().subscribe(ana, peerOptions{keep: true})
			var watching []*client
			for _, subscriber := range clients {
				ben := r.guest()
				watching = append(watching, startClient(t, subscriber, "subscribe", ben.subscribeURL(ana), ben.token, "30"))
			}
			for _, w := range watching {
				var got struct{ Video, Audio int }
				if err := json.Unmarshal(w.wait(), &got); err != nil || got.Video < enough || got.Audio < enough {
					t.Errorf("%s from %s: %+v, %v\n%s", w.cmd.Args[1], publisher, got, err, w.stderr.Bytes())
				}
				t.Logf("%s from %s: %+v", w.cmd.Args[1], publisher, got)
			}
			if _, pictures := in.annexB(); pictures < enough {
				t.Errorf("%d pictures have come from %s", pictures, publisher)
			}
			sending.stop()
		})
	}
}

// client is a program that publishes or subscribes.
type client struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan error
}

// debianPython is that which has the modules of Debian's packages.
const debianPython = "/usr/bin/python3"

func startClient(t *testing.T, script string, args ...string) *client {
	t.Helper()
	if out, err := exec.Command(debianPython, "-c", "import aiortc, gi").CombinedOutput(); err != nil {
		t.Fatalf("script/ensure python-webrtc installs what is needed: %v\n%s", err, out)
	}
	c := &client{t: t, cmd: exec.Command(debianPython, append([]string{filepath.Join("interop", script)}, args...)...), ended: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.cmd.Wait(); close(c.ended) }()
	t.Cleanup(c.stop)
	return c
}

// wait returns what the program has printed at its end.
func (c *client) wait() []byte {
	c.t.Helper()
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Errorf("%s: %v\n%s", strings.Join(c.cmd.Args[1:3], " "), err, c.stderr.Bytes())
		}
	case <-time.After(time.Minute):
		c.t.Errorf("%s does not end", strings.Join(c.cmd.Args[1:3], " "))
	}
	return c.stdout.Bytes()
}

func (c *client) stop() {
	c.cmd.Process.Kill() // fails when it has ended
	<-c.ended
}
