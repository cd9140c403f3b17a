package stage

import (
	"context"
	"time"

	"anabranch/internal/metrics"
	"anabranch/internal/resource"
	"anabranch/internal/rtc"

	"github.com/prometheus/client_golang/prometheus"
)

// observation is how often metrics are taken.
const observation = 10 * time.Second

// observe takes metrics until ctx ends. Those of a stage last as long as its
// room.
func (m *Manager) observe(ctx context.Context) {
	ticker := time.NewTicker(observation)
	defer ticker.Stop()
	told := make(map[resource.ARN]bool) // stages that have series
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.observeOnce(told)
		}
	}
}

func (m *Manager) observeOnce(told map[resource.ARN]bool) {
	connections := make(map[resource.ARN][]*connection)
	m.mu.Lock()
	for stage := range m.rooms {
		connections[stage] = nil
	}
	for _, c := range m.sessions {
		connections[c.p.room.stage] = append(connections[c.p.room.stage], c)
	}
	m.mu.Unlock()

	var all count
	for stage, of := range connections {
		var n count
		for _, c := range of {
			n.add(c)
		}
		n.tell(stage.ID())
		all.plus(&n)
		told[stage] = true
	}
	for stage := range told {
		if _, is := connections[stage]; !is {
			metrics.ForgetStage(stage.ID())
			delete(told, stage)
		}
	}
	metrics.ConcurrentPublishers.Set(float64(all.publishers))
	metrics.ConcurrentSubscriptions.Set(float64(all.subscriptions))
	metrics.DownloadPacketLoss.Set(all.loss())
}

// count is what the connections of a stage carried since the last observation.
type count struct {
	publishers, subscriptions int
	subscribers               map[*participant]bool
	published, subscribed     flows
	lost, sent                uint64 // packets to subscribers
	resolution                int    // short side of the largest picture, in pixels
}

// flows are numbers of bytes.
type flows struct{ audio, video uint64 }

func (n *count) add(c *connection) {
	s, last := c.session.Stats(), c.last
	c.last = s
	to := &n.published
	if c.remote == nil {
		if s.Audio.Packets+s.Video.Packets > 0 {
			n.publishers++
		}
		n.resolution = max(n.resolution, min(s.Video.Width, s.Video.Height))
	} else {
		to = &n.subscribed
		n.subscriptions++
		if n.subscribers == nil {
			n.subscribers = make(map[*participant]bool)
		}
		n.subscribers[c.p] = true
		n.lost += since(s.Audio.Lost, last.Audio.Lost) + since(s.Video.Lost, last.Video.Lost)
		n.sent += packets(&s) - min(packets(&last), packets(&s))
	}
	to.audio += since(s.Audio.Bytes, last.Audio.Bytes)
	to.video += since(s.Video.Bytes, last.Video.Bytes)
}

func packets(s *rtc.Stats) uint64 { return s.Audio.Packets + s.Video.Packets }

// since is by how much a counter grew. What a client tells may shrink.
func since(now, last uint64) uint64 { return now - min(last, now) }

// loss is the share of packets that subscribers did not get, in percent.
func (n *count) loss() float64 {
	if n.sent == 0 {
		return 0
	}
	return min(100*float64(n.lost)/float64(n.sent), 100)
}

func (n *count) plus(o *count) {
	n.publishers += o.publishers
	n.subscriptions += o.subscriptions
	n.lost += o.lost
	n.sent += o.sent
}

func (n *count) tell(stage string) {
	bitrate := func(of *prometheus.GaugeVec, f flows) {
		of.WithLabelValues(stage, "audio").Set(float64(f.audio*8) / observation.Seconds())
		of.WithLabelValues(stage, "video").Set(float64(f.video*8) / observation.Seconds())
	}
	metrics.StagePublishers.WithLabelValues(stage).Set(float64(n.publishers))
	metrics.StageSubscribers.WithLabelValues(stage).Set(float64(len(n.subscribers)))
	metrics.StageDownloadPacketLoss.WithLabelValues(stage).Set(n.loss())
	metrics.StagePublishResolution.WithLabelValues(stage).Set(float64(n.resolution))
	bitrate(metrics.StagePublishBitrate, n.published)
	bitrate(metrics.StageSubscribeBitrate, n.subscribed)
}
