package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivs"
	"github.com/aws/aws-sdk-go-v2/service/ivs/types"
	"golang.org/x/sync/errgroup"
)

// Demo is what `anabranch demo` can be told.
type Demo struct {
	Duration  time.Duration `placeholder:"TIME" help:"Stop after this long, instead of at Ctrl-C."`
	NoBrowser bool          `help:"Do not open the watch page in a browser."`
}

// What the demo shows, and when.
const (
	demoBucket    = "anabranch-demo"
	demoWindow    = 60 // seconds that the recording waits for its broadcaster
	firstPublish  = 15 * time.Second
	publishingGap = 4 * time.Second
	patience      = 30 * time.Second // with the server, at each step
)

// RunDemo runs a server and shows on it what it is for, until ctx ends or the
// demo's duration is over; then it finishes the recording and says where it is.
func RunDemo(ctx context.Context, cfg Config, options Demo) error {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return errors.New("the demo publishes with ffmpeg, which is missing; install it (apt install ffmpeg, dnf install ffmpeg, brew install ffmpeg) and try again")
	}
	log := newLogger(os.Stderr, cfg.LogFormat, cfg.LogLevel)
	// The server goes on when ctx ends, until the recording is finished.
	group, alive := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stopServing := context.WithCancel(alive)
	running := make(chan *server, 1)
	group.Go(func() error {
		return serve(serving, cfg, log, func(s *server) { running <- s })
	})
	group.Go(func() error {
		defer stopServing()
		select {
		case s := <-running:
			d := &demo{Demo: options, server: s, out: os.Stdout}
			return d.run(alive, ctx)
		case <-alive.Done():
			return nil
		}
	})
	return group.Wait()
}

// demo is one run of the demo, on a server in the same process. It uses the
// server as any client would.
type demo struct {
	Demo
	*server
	out io.Writer

	api           *ivs.Client
	configuration string // its ARN
	channel       *types.Channel
	key           string
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// run is the story. ctx ends when the server does, stop when the demo is to.
func (d *demo) run(ctx, stop context.Context) error {
	d.api = ivs.New(ivs.Options{
		Region:       d.cfg.Region,
		BaseEndpoint: aws.String("http://" + d.endpoints.HTTP),
		Credentials: awscredentials.NewStaticCredentialsProvider(
			d.server.credentials.accessKeyID, d.server.credentials.secretAccessKey, ""),
	})
	if err := d.create(ctx); err != nil {
		return err
	}
	watch := d.publicURL + "/watch/" + d.channelID()
	d.say("")
	d.say("Watch:      %s", watch)
	d.say("Playlist:   %s", aws.ToString(d.channel.PlaybackUrl))
	d.say("Recording:  %s", d.place("ivs/v1/"+d.cfg.AccountID+"/"+d.channelID()+"/…"))
	d.say("")
	if !d.NoBrowser {
		openBrowser(watch)
	}

	showing, end := context.WithCancel(ctx)
	defer end()
	if d.Duration > 0 {
		showing, end = context.WithTimeout(ctx, d.Duration)
		defer end()
	}
	defer context.AfterFunc(stop, end)()
	err := d.show(showing)
	return errors.Join(err, d.finish(ctx))
}

// create makes a bucket, and a channel that is recorded to it.
func (d *demo) create(ctx context.Context) error {
	if err := d.objects.CreateBucket(ctx, demoBucket); err != nil {
		return err
	}
	rc, err := d.api.CreateRecordingConfiguration(ctx, &ivs.CreateRecordingConfigurationInput{
		Name: aws.String("demo"),
		DestinationConfiguration: &types.DestinationConfiguration{
			S3: &types.S3DestinationConfiguration{BucketName: aws.String(demoBucket)},
		},
		RecordingReconnectWindowSeconds: demoWindow,
	})
	if err != nil {
		return fmt.Errorf("create recording configuration: %w", err)
	}
	d.configuration = aws.ToString(rc.RecordingConfiguration.Arn)
	state := rc.RecordingConfiguration.State
	err = d.await(ctx, func() (bool, error) {
		rc, err := d.api.GetRecordingConfiguration(ctx, &ivs.GetRecordingConfigurationInput{Arn: &d.configuration})
		if err != nil {
			return false, err
		}
		state = rc.RecordingConfiguration.State
		return state != types.RecordingConfigurationStateCreating, nil
	})
	if err != nil {
		return fmt.Errorf("check bucket of the recording configuration: %w", err)
	}
	if state != types.RecordingConfigurationStateActive {
		return fmt.Errorf("bucket %s cannot be recorded to; the log says why", demoBucket)
	}
	ch, err := d.api.CreateChannel(ctx, &ivs.CreateChannelInput{
		Name:                      aws.String("demo"),
		RecordingConfigurationArn: &d.configuration,
		InsecureIngest:            true,
	})
	if err != nil {
		return fmt.Errorf("create channel: %w", err)
	}
	d.channel, d.key = ch.Channel, aws.ToString(ch.StreamKey.Value)
	return nil
}

// show publishes, drops the publisher and publishes again, until ctx ends.
func (d *demo) show(ctx context.Context) error {
	p := publisher{url: "rtmp://" + d.endpoints.RTMP + "/app/" + d.key, clock: canDrawText(ctx)}
	d.say("A test picture is on its way. It appears within some seconds, in several sizes if the machine can transcode.")
	if err := p.publish(ctx, firstPublish); err != nil || ctx.Err() != nil {
		return err
	}
	d.say("The publisher was dropped: its process is killed. The picture stands still, the playlist stays open.")
	select {
	case <-time.After(publishingGap):
	case <-ctx.Done():
		return nil
	}
	d.say("It publishes again, as a new stream. The picture goes on by itself, and so does the recording.")
	if d.Duration == 0 {
		d.say("Press Ctrl-C to end.")
	}
	return p.publish(ctx, 0)
}

// finish ends the recording, says what became of it and removes the channel.
func (d *demo) finish(ctx context.Context) error {
	d.say("\nThe stream has ended. Without its configuration the recording waits for no other.")
	if err := d.detach(ctx); err != nil {
		return err
	}
	streams, err := d.recordedStreams(ctx)
	if err != nil {
		return err
	}
	if streams == 0 {
		d.say("Nothing was recorded: no stream had begun.")
		return d.remove(ctx)
	}
	var prefix string
	err = d.await(ctx, func() (done bool, err error) {
		prefix, err = d.ended(ctx)
		return prefix != "", err
	})
	if err != nil {
		return fmt.Errorf("wait for the end of the recording: %w", err)
	}
	if err := d.report(ctx, prefix, streams); err != nil {
		return err
	}
	return d.remove(ctx)
}

// detach takes the recording configuration off the channel, once it is offline.
func (d *demo) detach(ctx context.Context) error {
	err := d.await(ctx, func() (bool, error) {
		_, err := d.api.UpdateChannel(ctx, &ivs.UpdateChannelInput{
			Arn: d.channel.Arn, RecordingConfigurationArn: aws.String(""),
		})
		var live *types.ConflictException
		if errors.As(err, &live) {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return fmt.Errorf("detach recording configuration: %w", err)
	}
	return nil
}

// recordedStreams counts the channel's streams, if they were recorded.
func (d *demo) recordedStreams(ctx context.Context) (streams int, err error) {
	list, err := d.api.ListStreamSessions(ctx, &ivs.ListStreamSessionsInput{ChannelArn: d.channel.Arn})
	if err != nil {
		return 0, fmt.Errorf("list stream sessions: %w", err)
	}
	for _, s := range list.StreamSessions {
		got, err := d.api.GetStreamSession(ctx, &ivs.GetStreamSessionInput{ChannelArn: d.channel.Arn, StreamId: s.StreamId})
		if err != nil {
			return 0, fmt.Errorf("read stream session: %w", err)
		}
		for _, event := range got.StreamSession.TruncatedEvents {
			if aws.ToString(event.Name) == "Recording Start" { // told once for all
				return len(list.StreamSessions), nil
			}
		}
	}
	return 0, nil
}

// remove removes what create made, but for the bucket.
func (d *demo) remove(ctx context.Context) error {
	if _, err := d.api.DeleteChannel(ctx, &ivs.DeleteChannelInput{Arn: d.channel.Arn}); err != nil {
		return fmt.Errorf("delete channel: %w", err)
	}
	_, err := d.api.DeleteRecordingConfiguration(ctx, &ivs.DeleteRecordingConfigurationInput{Arn: &d.configuration})
	if err != nil {
		return fmt.Errorf("delete recording configuration: %w", err)
	}
	return nil
}

// ended finds the prefix of the channel's recording, empty while it goes on.
func (d *demo) ended(ctx context.Context) (prefix string, err error) {
	objects, err := d.objects.List(ctx, demoBucket, "ivs/v1/"+d.cfg.AccountID+"/"+d.channelID()+"/")
	if err != nil {
		return "", err
	}
	for _, o := range objects {
		if p, ok := strings.CutSuffix(o.Key, "/events/recording-ended.json"); ok {
			return p, nil
		}
	}
	return "", nil
}

// report says what the recording of some streams is made of.
func (d *demo) report(ctx context.Context, prefix string, streams int) error {
	var metadata struct {
		Media struct {
			HLS struct {
				Path       string `json:"path"`
				Playlist   string `json:"playlist"`
				DurationMS int64  `json:"duration_ms"`
				Renditions []struct {
					Path     string `json:"path"`
					Playlist string `json:"playlist"`
				} `json:"renditions"`
			} `json:"hls"`
		} `json:"media"`
	}
	content, err := d.read(ctx, path.Join(prefix, "events/recording-ended.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &metadata); err != nil {
		return fmt.Errorf("read recording-ended.json: %w", err)
	}
	hls := metadata.Media.HLS
	joins := 0
	var names []string
	for _, r := range hls.Renditions {
		names = append(names, r.Path)
	}
	if len(hls.Renditions) > 0 {
		playlist, err := d.read(ctx, path.Join(prefix, hls.Path, hls.Renditions[0].Path, hls.Renditions[0].Playlist))
		if err != nil {
			return err
		}
		joins = bytes.Count(playlist, []byte("#EXT-X-DISCONTINUITY\n"))
	}
	d.say("\nOne recording of %d stream(s): %v of media, %d join(s), in %s. Try ffprobe or ffplay on",
		streams, time.Duration(hls.DurationMS)*time.Millisecond, joins, strings.Join(names, ", "))
	d.say("%s\n", d.place(path.Join(prefix, hls.Path, hls.Playlist)))
	return nil
}

func (d *demo) read(ctx context.Context, key string) ([]byte, error) {
	body, err := d.objects.Get(ctx, demoBucket, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// place is where an object is found: its file, when it is one.
func (d *demo) place(key string) string {
	if d.endpoints.S3 == "" {
		return "s3://" + demoBucket + "/" + key
	}
	return d.dir.file(path.Join("buckets", demoBucket, key))
}

func (d *demo) channelID() string { return path.Base(aws.ToString(d.channel.Arn)) }

// await asks again and again until the answer is yes, for as long as patience
// lasts.
func (d *demo) await(ctx context.Context, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// openBrowser opens url on the desktop, if there is one.
func openBrowser(url string) {
	command := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		command = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return
	}
	browser := exec.Command(command, url)
	if browser.Start() == nil { // the address is printed, too
		browser.Process.Release()
	}
}
