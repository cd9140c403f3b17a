package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nginxConfig serves a folder as fast as nginx does without giving up the
// headers that players need: two workers, kernel-side sending, open files and
// connections kept, playlists compressed beforehand.
const nginxConfig = `
%s
worker_processes 2;
worker_rlimit_nofile 20000;
pid nginx.pid;
daemon off;
events { worker_connections 16384; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	tcp_nodelay on;
	keepalive_timeout 65;
	keepalive_requests 1000000000;
	open_file_cache max=1000 inactive=60s;
	open_file_cache_valid 60s;
	gzip_static on;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	types {
		application/vnd.apple.mpegurl m3u8;
		video/mp4 m4s mp4;
	}
	server {
		listen %s reuseport backlog=4096;
		root files;
		add_header Access-Control-Allow-Origin *;
	}
}
`

// nginx is a running nginx that serves dir/files.
type nginx struct {
	host string
	pids []int // of its workers
}

// startNginx starts nginx in a folder. It ends with the test. It is nil where
// nginx is not installed.
func startNginx(t testing.TB, dir string) *nginx {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // which is not in everyone's path
		if _, err := os.Stat(program); err != nil {
			return nil
		}
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the workers read the test's folder
	}
	host := freeAddress(t)
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, user, host), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", config, "-e", "stderr")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // to the master, which ends its workers
		cmd.Wait()
	})
	n := &nginx{host: host}
	eventually(t, 10*time.Second, "nginx serves", func() error {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, complaints.Bytes())
		}
		defer conn.Close()
		n.pids = nil
		pid := cmd.Process.Pid
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for field := range strings.FieldsSeq(string(children)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return err
			}
			n.pids = append(n.pids, child)
		}
		if len(n.pids) != 2 {
			return fmt.Errorf("%d workers: %w", len(n.pids), err)
		}
		return nil
	})
	return n
}

// freeAddress is one that nobody listens on, for now.
func freeAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
