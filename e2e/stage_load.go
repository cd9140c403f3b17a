package e2e

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// gathering is a stage full of publishers and subscribers.
type gathering struct {
	out []*outgoing
	in  []*incoming
	of  []*outgoing // what each of in is subscribed to
}

// assemble begins to publish. Then each of an audience and of the publishers
// subscribes to each of the publishers but itself.
func assemble(f scene, speed float64, publishers, audience []*guest, o peerOptions) (*gathering, error) {
	g := &gathering{}
	for _, p := range publishers {
		out, err := p.tryPublish(f, speed, o)
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		g.out = append(g.out, out)
	}
	return g, g.admit(append(audience, publishers...), o)
}

// admit lets guests subscribe to all publishers but themselves.
func (g *gathering) admit(guests []*guest, o peerOptions) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards what is gathered
	var failures []error
	few := make(chan struct{}, 8) // at a time
	for _, who := range guests {
		for _, out := range g.out {
			if who == out.guest {
				continue
			}
			few <- struct{}{}
			wg.Go(func() {
				in, err := who.trySubscribe(out.guest, o)
				<-few
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failures = append(failures, err)
					return
				}
				g.in, g.of = append(g.in, in), append(g.of, out)
			})
		}
	}
	wg.Wait()
	return errors.Join(failures...)
}

// sendOn waits until each publisher has sent d more.
func (g *gathering) sendOn(d time.Duration) {
	var began []int
	for _, out := range g.out {
		began = append(began, len(out.layers[0].list("audio")))
	}
	for i, out := range g.out {
		eventually(out.t, 8*d+20*time.Second, "more has been sent", func() error {
			if n := len(out.layers[0].list("audio")) - began[i]; time.Duration(n)*opusFrame < d {
				return fmt.Errorf("%d sounds have", n)
			}
			return nil
		})
	}
}

// check stops the publishers and waits until everybody has everything.
func (g *gathering) check() error {
	for _, out := range g.out {
		out.stop()
	}
	deadline := time.Now().Add(10 * time.Second)
	for i, in := range g.in {
		for _, kind := range []string{"video", "audio"} {
			for {
				d, err := in.compare(kind, g.of[i].layers...)
				if err != nil {
					return err
				}
				if d.missing == 0 {
					break
				}
				if time.Now().After(deadline) {
					return fmt.Errorf("%s of subscription %d of %d: %v", kind, i+1, len(g.in), d)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
	return nil
}

// end closes all connections.
func (g *gathering) end() {
	var wg sync.WaitGroup
	for _, in := range g.in {
		wg.Go(in.close)
	}
	for _, out := range g.out {
		wg.Go(func() { out.stop(); out.close() })
	}
	wg.Wait()
}
