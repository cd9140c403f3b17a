package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"anabranch/internal/resource"
)

// Recording are the commands on recordings. They are clients of a running
// server: the one of the data folder, or any other.
type Recording struct {
	Endpoint string `placeholder:"URL" help:"Server to ask, with credentials and region from the usual AWS variables; that of --data-dir when not given."`

	List   RecordingList   `cmd:"" help:"List recordings, the newest first."`
	Verify RecordingVerify `cmd:"" help:"Find out whether recordings are whole."`
	Export RecordingExport `cmd:"" help:"Write a recording into one MP4 file. Needs ffmpeg."`
}

// shelved is a recording as the API tells it.
type shelved struct {
	ID string `json:"id"`
	// Of a channel's recording.
	ChannelName string       `json:"channelName"`
	ChannelARN  resource.ARN `json:"channelArn"`
	// Of a participant's.
	StageARN      resource.ARN `json:"stageArn"`
	ParticipantID string       `json:"participantId"`
	UserID        string       `json:"userId"`

	State         string    `json:"state"`
	StatusMessage string    `json:"statusMessage"`
	StartedAt     time.Time `json:"startedAt"`
	Duration      float64   `json:"duration"` // in seconds
	Fragments     int       `json:"fragments"`
	PlaybackURL   string    `json:"playbackUrl"`
	// ByteRangePlaybackURL is empty while the recording goes on.
	ByteRangePlaybackURL string `json:"byteRangePlaybackUrl"`
	Renditions           []struct {
		Name string `json:"name"`
	} `json:"renditions"`
}

// RecordingList is `anabranch recording list`.
type RecordingList struct {
	Kind        string `enum:"channel,participant," default:"" placeholder:"KIND" help:"Only those of a kind: channel or participant."`
	Channel     string `placeholder:"ID" help:"Only those of a channel, by its id or ARN."`
	Stage       string `placeholder:"ID" help:"Only those of participants of a stage, by its id or ARN."`
	Session     string `placeholder:"ID" help:"Only those of participants of a stage's session."`
	Participant string `placeholder:"ID" help:"Only those of a participant."`
	State       string `enum:"started,ended,failed," default:"" placeholder:"STATE" help:"Only those in a state: started, ended or failed."`
	From        string `placeholder:"TIME" help:"Only those that started then or later, such as 2026-03-01T12:00:00Z."`
	To          string `placeholder:"TIME" help:"Only those that started earlier."`
	JSON        bool   `name:"json" help:"Print the API's JSON, one recording a line."`
}

// Run prints the list.
func (l *RecordingList) Run(ctx context.Context, cfg *Config, of *Recording) error {
	c, err := connect(ctx, cfg, of.Endpoint)
	if err != nil {
		return err
	}
	return l.print(ctx, c, os.Stdout)
}

func (l *RecordingList) print(ctx context.Context, c *client, out io.Writer) error {
	query := url.Values{}
	for name, value := range map[string]string{
		"kind": l.Kind, "channel": l.Channel, "stage": l.Stage, "session": l.Session, "participant": l.Participant,
		"state": l.State, "from": l.From, "to": l.To,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !l.JSON {
		fmt.Fprintln(table, "ID\tOF\tSTARTED\tDURATION\tPARTS\tRENDITIONS\tSTATE")
	}
	err := c.recordings(ctx, query, func(raw json.RawMessage, r *shelved) error {
		if l.JSON {
			_, err := fmt.Fprintf(out, "%s\n", raw)
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", r.ID, r.of(), r.StartedAt.Local().Format("2006-01-02 15:04:05"), length(r.Duration), r.Fragments, r.renditions(), r.standing())
		return nil
	})
	return errors.Join(err, table.Flush())
}

// of says whose it is: a channel and its name, or a stage, a participant and the user.
func (r *shelved) of() string {
	of, name := printable(r.ChannelARN.ID()), r.ChannelName
	if r.StageARN != "" {
		of, name = printable(r.StageARN.ID()+"/"+r.ParticipantID), r.UserID
	}
	return strings.TrimSpace(of + " " + printable(name))
}

// renditions are their names; "-" while none are known.
func (r *shelved) renditions() string {
	var names []string
	for _, m := range r.Renditions {
		names = append(names, printable(m.Name))
	}
	return cmp.Or(strings.Join(names, ","), "-")
}

// standing puts the state into words.
func (r *shelved) standing() string {
	switch r.State {
	case "RECORDING_STARTED":
		return "recording"
	case "RECORDING_ENDED":
		return "complete"
	}
	return strings.TrimSuffix("failed: "+printable(r.StatusMessage), ": ")
}

// length is a duration in seconds, in words.
func length(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

// losses puts seconds of lost sound and pictures into words; "" for none.
func losses(sound, pictures float64) string {
	var all []string
	if sound > 0 {
		all = append(all, fmt.Sprintf("%.2fs of sound", sound))
	}
	if pictures > 0 {
		all = append(all, fmt.Sprintf("%.2fs of pictures", pictures))
	}
	return strings.Join(all, " and ")
}

// printable keeps a terminal from obeying text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// RecordingVerify is `anabranch recording verify`.
type RecordingVerify struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"Recordings to verify."`
	All  bool     `help:"Verify all recordings."`
	Deep bool     `help:"Read the media, too."`
}

// Run verifies, and returns an error when a recording has a problem.
func (v *RecordingVerify) Run(ctx context.Context, cfg *Config, of *Recording) error {
	if v.All != (len(v.IDs) == 0) {
		return errors.New("recording verify: give either ids or --all")
	}
	c, err := connect(ctx, cfg, of.Endpoint)
	if err != nil {
		return err
	}
	return v.print(ctx, c, os.Stdout)
}

func (v *RecordingVerify) print(ctx context.Context, c *client, out io.Writer) error {
	verified, broken := 0, 0
	verify := func(id string) error {
		whole, err := v.one(ctx, c, id, out)
		verified++
		if !whole {
			broken++
		}
		// The bucket of one may be gone, or away: the others need not be.
		if answer := new(answerError); v.All && errors.As(err, &answer) && answer.status == http.StatusServiceUnavailable {
			fmt.Fprintf(out, "%s  not verified: %v\n", id, answer)
			return nil
		}
		return err
	}
	var err error
	for _, id := range v.IDs {
		if err = verify(id); err != nil {
			break
		}
	}
	if v.All {
		err = c.recordings(ctx, url.Values{}, func(_ json.RawMessage, r *shelved) error { return verify(r.ID) })
	}
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d of %d recordings have problems", broken, verified)
	}
	return err
}

// one verifies a recording and tells what was found.
func (v *RecordingVerify) one(ctx context.Context, c *client, id string, out io.Writer) (whole bool, err error) {
	var report struct {
		Verified   bool
		Objects    int
		Bytes      int64
		Duration   float64
		Renditions []struct {
			Name                            string
			Absent, LostSound, LostPictures float64 // seconds
		}
		Thumbnails int
		Problems   []struct{ Code, Path, Message string }
	}
	query := url.Values{}
	if v.Deep {
		query.Set("deep", "true")
	}
	if err := c.call(ctx, "/v1/recordings/"+url.PathEscape(id)+"/verify", query, &report); err != nil {
		return false, fmt.Errorf("verify recording %s: %w", id, err)
	}
	verdict := "whole"
	if n := len(report.Problems); n > 0 {
		verdict = fmt.Sprintf("%d problem(s)", n)
	}
	fmt.Fprintf(out, "%s  %s: %s in %d objects, %.1f MB", id, verdict, length(report.Duration), report.Objects, float64(report.Bytes)/1e6)
	if n := len(report.Renditions); n > 1 {
		fmt.Fprintf(out, ", %d renditions", n)
	}
	switch n := report.Thumbnails; {
	case n == 1:
		fmt.Fprint(out, ", 1 thumbnail")
	case n > 1:
		fmt.Fprintf(out, ", %d thumbnails", n)
	}
	fmt.Fprintln(out)
	for _, r := range report.Renditions {
		if r.Absent > 0 {
			fmt.Fprintf(out, "  %s has holes of %.1fs, as its playlists tell\n", printable(r.Name), r.Absent)
		}
		if lost := losses(r.LostSound, r.LostPictures); lost != "" {
			fmt.Fprintf(out, "  %s did not arrive, as the playlist tells\n", lost)
		}
	}
	for _, p := range report.Problems {
		fmt.Fprintf(out, "  %s  %s: %s\n", p.Code, printable(p.Path), printable(p.Message))
	}
	return report.Verified, nil
}
