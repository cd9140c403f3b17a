package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// program is the path of the program under test.
var program string

// server is a running program and the folder it keeps everything in. The
// folder and the ports stay the same when it is stopped and started again.
type server struct {
	t     testing.TB
	dir   string
	at    endpoints
	flags []string // besides, or instead of, those of every server: see launch
	// storage is where it records to, nil for its own.
	storage *storage
	bucket  string

	cmd   *exec.Cmd
	ended chan error // has one value when the process has ended

	presence presence
}

// endpoints are addresses, as in the file endpoints.json.
type endpoints struct {
	HTTP  string `json:"http"`
	RTMP  string `json:"rtmp"`
	RTMPS string `json:"rtmps"`
	S3    string `json:"s3"`
	Admin string `json:"admin"`

	WebRTC string `json:"webrtc"`
}

// startServer starts a server on free ports. It ends with the test.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	return startServerOn(t, external, flags...)
}

// startServerOn starts a server that records to a storage, its own if st is nil.
func startServerOn(t testing.TB, st *storage, flags ...string) *server {
	t.Helper()
	const free = "127.0.0.1:0"
	s := &server{t: t, dir: t.TempDir(), at: endpoints{free, free, free, free, free, free}, flags: flags, storage: st, bucket: "recordings"}
	if st != nil && st.dir == "" { // others use it, too
		s.bucket += "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	t.Cleanup(func() {
		if s.running() {
			s.kill()
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", s.logTail(8<<10))
		}
	})
	s.start()
	return s
}

// start starts the process and waits until it is ready.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	s.waitReady()
}

// ready is the file that a server writes when it is ready.
func (s *server) ready() string { return filepath.Join(s.dir, "endpoints.json") }

// launch starts the process. Every channel delivers its source alone, unless the
// server's own flags say otherwise.
func (s *server) launch() {
	s.t.Helper()
	if err := os.Remove(s.ready()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err) // a killed server leaves it
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()

	cmd := exec.Command(program, append([]string{"serve", "--data-dir", s.dir, "--public-host", "127.0.0.1", "--log-level", "debug", "--transcode-capacity", "0",
		"--http-addr", s.at.HTTP, "--rtmp-addr", s.at.RTMP, "--rtmps-addr", s.at.RTMPS, "--webrtc-addr", s.at.WebRTC, "--s3-addr", s.at.S3, "--admin-addr", s.at.Admin},
		s.flags...)...)
	if s.storage != nil {
		cmd.Args = append(cmd.Args, "--s3-endpoint", s.storage.endpoint)
		cmd.Env = append(os.Environ(), s.storage.environment()...)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.cmd, s.ended = cmd, ended
}

func (s *server) waitReady() {
	s.t.Helper()
	eventually(s.t, 20*time.Second, "the server is ready", func() error {
		select {
		case err := <-s.ended:
			s.cmd = nil
			s.t.Fatalf("the server ended as it started: %v", err)
		default:
		}
		text, err := os.ReadFile(s.ready())
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &s.at); err != nil {
			return err
		}
		resp, err := http.Get("http://" + s.at.Admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s", resp.Status)
		}
		return nil
	})
	if s.storage != nil {
		s.at.S3 = s.storage.address()
	}
	s.presence.arrive()
}

// stop asks the server to end, as systemd or Docker would, and waits for it.
func (s *server) stop() {
	s.t.Helper()
	s.presence.leave()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		s.cmd = nil
		if err != nil {
			s.t.Fatalf("stopped server: %v", err)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatal("the server does not stop")
	}
}

// kill ends the server without a warning, as the kernel would that has run
// out of memory.
func (s *server) kill() {
	s.t.Helper()
	s.presence.leave()
	if err := s.cmd.Process.Kill(); err != nil {
		s.t.Error(err)
	}
	<-s.ended
	s.cmd = nil
}

func (s *server) running() bool { return s.cmd != nil }

func (s *server) pid() int { return s.cmd.Process.Pid }

// logPath is outside the server's own folder, which is as it left it.
func (s *server) logPath() string { return s.dir + ".log" }

// logTail is the last n bytes of the log.
func (s *server) logTail(n int) []byte {
	text, err := os.ReadFile(s.logPath())
	if err != nil {
		return []byte(err.Error())
	}
	if len(text) > n {
		text = text[len(text)-n:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return text
}

// eventually polls until what is true. check returns nil then; its last error
// says what is missing when that takes longer than limit.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
	}
}
