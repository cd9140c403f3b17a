package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// tap passes TCP connections on, and notes when the first one came.
type tap struct {
	t       testing.TB
	address string
	first   chan time.Time
}

func newTap(t testing.TB, to string) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{t: t, address: ln.Addr().String(), first: make(chan time.Time, 1)}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			select {
			case p.first <- time.Now():
			default:
			}
			ended.Go(func() { relay(client, to) })
		}
	})
	t.Cleanup(func() { ln.Close(); ended.Wait() })
	return p
}

// relay ends when either side does.
func relay(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	back.Go(func() { io.Copy(client, server); client.Close() })
	io.Copy(server, client)
	server.Close()
	back.Wait()
}

// waitConnected returns when the first connection came.
func (p *tap) waitConnected() time.Time {
	p.t.Helper()
	select {
	case at := <-p.first:
		return at
	case <-time.After(15 * time.Second):
		p.t.Fatal("nobody has connected")
		panic("unreachable")
	}
}
