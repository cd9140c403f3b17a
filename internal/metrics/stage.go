package metrics

import "github.com/prometheus/client_golang/prometheus"

// What stages count, by the names that CloudWatch has for it. Numbers are of the
// last ten seconds. A stage has its series while its session runs, and a label is
// the stage's id, which the server makes.
var (
	ConcurrentPublishers = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_concurrent_publishers",
		Help: "ConcurrentPublishers: participants of all stages that publish.",
	})
	ConcurrentSubscriptions = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_concurrent_subscriptions",
		Help: "ConcurrentSubscriptions: pairs of a subscriber and a publisher, in all stages.",
	})
	DownloadPacketLoss = factory.NewGauge(prometheus.GaugeOpts{
		Name: "anabranch_download_packet_loss_percent",
		Help: "DownloadPacketLoss: packets that did not reach the subscribers of all stages at first.",
	})
	StagePublishers        = stageGauge("publishers", "Publishers: participants of the stage that publish.")
	StageSubscribers       = stageGauge("subscribers", "Subscribers: participants of the stage that subscribe.")
	StagePublishResolution = stageGauge("publish_resolution_pixels", "PublishResolution: the short side of the stage's largest picture.")
	StagePublishBitrate    = stageGauge("publish_bitrate_bits_per_second",
		"PublishBitrate: what the stage's publishers send together.", "media_type")
	StageSubscribeBitrate = stageGauge("subscribe_bitrate_bits_per_second",
		"SubscribeBitrate: what the stage's subscribers are sent together.", "media_type")
	StageDownloadPacketLoss = stageGauge("download_packet_loss_percent",
		"DownloadPacketLoss: packets that did not reach the stage's subscribers at first.")
)

var stageGauges []*prometheus.GaugeVec

func stageGauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := factory.NewGaugeVec(prometheus.GaugeOpts{Name: "anabranch_stage_" + name, Help: help}, append([]string{"stage"}, labels...))
	stageGauges = append(stageGauges, g)
	return g
}

// ForgetStage ends the series of a stage.
func ForgetStage(id string) {
	for _, g := range stageGauges {
		g.DeletePartialMatch(prometheus.Labels{"stage": id})
	}
}
