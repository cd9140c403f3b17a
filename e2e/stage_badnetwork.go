package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// badNetwork is a bad network between clients and a server's UDP port: of packets
// in both directions it loses some, and delays each for as long as it likes, so
// that they overtake each other.
type badNetwork struct {
	t      testing.TB
	server *net.UDPAddr
	loss   float64       // share of the packets
	jitter time.Duration // by which each is delayed at most
	front  *net.UDPConn
	closed chan struct{}
	all    sync.WaitGroup // goroutines, and packets on their way

	mu      sync.Mutex
	random  *rand.Rand
	behind  map[string]*net.UDPConn // of each client
	passed  [2]int                  // packets, to the server and from it
	dropped [2]int
}

// startBadNetwork starts one before the server. It ends with the test.
func (s *server) startBadNetwork(loss float64, jitter time.Duration, seed uint64) *badNetwork {
	s.t.Helper()
	to, err := net.ResolveUDPAddr("udp4", s.at.WebRTC)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &badNetwork{t: s.t, server: to, loss: loss, jitter: jitter, closed: make(chan struct{}), random: rand.New(rand.NewPCG(seed, 0)), behind: make(map[string]*net.UDPConn)}
	if r.front, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		s.t.Fatal(err)
	}
	r.all.Go(r.run)
	s.t.Cleanup(func() {
		close(r.closed)
		r.front.Close()
		r.mu.Lock()
		for _, c := range r.behind {
			c.Close()
		}
		r.mu.Unlock()
		r.all.Wait()
	})
	return r
}

// instead is an answer that names the relay where it named the server.
func (r *badNetwork) instead(sdp string) string {
	return strings.ReplaceAll(sdp, fmt.Sprintf(" %d typ host", r.server.Port), fmt.Sprintf(" %d typ host", r.front.LocalAddr().(*net.UDPAddr).Port))
}

func (r *badNetwork) run() {
	buf := make([]byte, 2000)
	for {
		n, from, err := r.front.ReadFromUDP(buf)
		if err != nil {
			return
		}
		c := r.connection(from)
		if c == nil {
			return
		}
		r.carry(0, buf[:n], func(b []byte) { c.Write(b) })
	}
}

// connection is the relay's own to the server, for a client.
func (r *badNetwork) connection(client *net.UDPAddr) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.behind[client.String()]; c != nil {
		return c
	}
	select {
	case <-r.closed:
		return nil
	default:
	}
	c, err := net.DialUDP("udp4", nil, r.server)
	if err != nil {
		return nil
	}
	r.behind[client.String()] = c
	r.all.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			r.carry(1, buf[:n], func(b []byte) { r.front.WriteToUDP(b, client) })
		}
	})
	return c
}

// carry loses a packet, or sends it later.
func (r *badNetwork) carry(direction int, packet []byte, send func([]byte)) {
	r.mu.Lock()
	lost := r.random.Float64() < r.loss
	delay := time.Duration(r.random.Float64() * float64(r.jitter))
	if lost {
		r.dropped[direction]++
	} else {
		r.passed[direction]++
	}
	r.mu.Unlock()
	if lost {
		return
	}
	late := append([]byte(nil), packet...)
	r.all.Add(1)
	time.AfterFunc(delay, func() {
		defer r.all.Done()
		send(late) // fails at the end
	})
}

func (r *badNetwork) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("to the server %d packets passed and %d were lost, from it %d and %d", r.passed[0], r.dropped[0], r.passed[1], r.dropped[1])
}
