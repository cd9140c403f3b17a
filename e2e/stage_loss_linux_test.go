package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lossyNetwork is set in a process that runs in a network of its own.
const lossyNetwork = "ANABRANCH_E2E_LOSSY"

// Of a hundred UDP packets three are lost, in both directions, from the first
// of a connection on. Sound and pictures arrive whole nevertheless: what is
// lost between publisher and server the server asks for again, and what is lost
// behind it the subscriber.
//
// The test runs in a network namespace of its own, which has nothing but a
// loopback interface, and there nftables loses packets.
func TestStageLoss(t *testing.T) {
	t.Parallel()
	if os.Getenv(lossyNetwork) == "" {
		runInNamespace(t)
		return
	}
	counter := losePackets(t, "3")
	s := startServer(t)
	r := s.newRoom()
	all := r.guests(3)
	out := all[0].publish(small)
	subscribers := []*incoming{all[1].subscribe(all[0], peerOptions{insists: true}), all[2].subscribe(all[0], peerOptions{lean: true, insists: true})}
	out.waitSent(15 * time.Second)
	until := time.Now()
	out.waitSent(18 * time.Second) // what is lost at the very end nobody misses
	for _, in := range subscribers {
		in.until = until
		for _, kind := range []string{"video", "audio"} {
			d := in.waitWhole(kind, out)
			t.Logf("%s: %v", kind, d)
			if d.late == 0 {
				t.Errorf("no %s was lost: %v", kind, d)
			}
		}
	}
	out.stop()
	if out.resends.Load() == 0 {
		t.Error("the publisher was asked for nothing again")
	}
	t.Logf("the publisher was asked for %d packets again, and for %d key frames; lost were:\n%s", out.resends.Load(), out.keyFrames.Load(), counter())
}

// runInNamespace runs the test once more, in a network namespace, and tells
// what it tells. Who is not root becomes it there (user_namespaces(7)).
func runInNamespace(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), lossyNetwork+"=yes", "ANABRANCH="+program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in a network namespace: %v", err)
	}
}

// losePackets makes the network of the process lose a share of all UDP packets,
// in percent. counter tells how many.
func losePackets(t *testing.T, percent string) (counter func() string) {
	t.Helper()
	run := func(stdin string, command ...string) string {
		t.Helper()
		cmd := exec.Command(command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
		if path, err := exec.LookPath("/usr/sbin/" + command[0]); err == nil {
			cmd.Path, cmd.Err = path, nil
		}
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s (script/ensure nft ip installs what is needed): %v\n%s", strings.Join(command, " "), err, out)
		}
		return string(out)
	}
	run("", "ip", "link", "set", "lo", "up")
	run(`table inet lossy {
		chain in {
			type filter hook input priority 0;
			meta l4proto udp counter
			meta l4proto udp numgen random mod 100 < `+percent+` counter drop
		}
	}`, "nft", "-f", "-")
	return func() string { return run("", "nft", "list", "table", "inet", "lossy") }
}
