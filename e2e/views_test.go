package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
)

// Within 15 seconds of its start each player is a view of its channel, whatever
// the channel's latency. Who only looks whether the channel is there is none.
func TestViewsAreCounted(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	low := s.newChannel()
	normal := s.newChannel(func(in *ivs.CreateChannelInput) { in.LatencyMode = types.ChannelLatencyModeNormalLatency })
	for _, c := range []*channel{low, normal} {
		publish(t, c.rtmp(), testPicture())
	}
	for _, c := range []*channel{low, normal} {
		c.waitPlayable()
	}
	for range 3 {
		low.waitPlayable() // in a session of its own
		time.Sleep(time.Second)
	}
	if err := s.views(map[*channel]int64{low: 0, normal: 0}); err != nil {
		t.Error(err)
	}

	const players = 5
	crowd := low.newAudience()
	crowd.start(t, players, time.Second)
	normal.watch()
	eventually(t, 15*time.Second, "the players are counted", func() error {
		return s.views(map[*channel]int64{low: players, normal: 1})
	})
	time.Sleep(5 * time.Second)
	if err := s.views(map[*channel]int64{low: players, normal: 1}); err != nil {
		t.Error(err)
	}
	if crowd.failures.tell(t, "the players") > 0 {
		t.Fail()
	}
}

// views checks that the streams of some channels, all that are live and well,
// are told with as many views.
func (s *server) views(want map[*channel]int64) error {
	list, err := s.ivs().ListStreams(s.t.Context(), &ivs.ListStreamsInput{
		FilterBy: &types.StreamFilters{Health: types.StreamHealthStreamHealthy},
	})
	if err != nil {
		return err
	}
	if len(list.Streams) != len(want) {
		return fmt.Errorf("%d streams are healthy, not %d", len(list.Streams), len(want))
	}
	for c, n := range want {
		got, err := s.ivs().GetStream(s.t.Context(), &ivs.GetStreamInput{ChannelArn: c.Arn})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list.Streams, func(one types.StreamSummary) bool { return *one.ChannelArn == *c.Arn })
		if i < 0 || got.Stream.ViewerCount != n || list.Streams[i].ViewerCount != n {
			return fmt.Errorf("%s has %d views, not %d; listed are %+v", *c.Arn, got.Stream.ViewerCount, n, list.Streams)
		}
	}
	return nil
}
