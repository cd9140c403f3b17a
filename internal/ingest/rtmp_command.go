package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/gortmplib/pkg/amf0"

	"anabranch/internal/broadcast"
)

const (
	// application is the only one there is.
	application = "app"
	// maxKey bounds what is looked up as a stream key, in bytes.
	maxKey = 256
)

var (
	errNoApp = rejected("the application does not exist: publish to rtmp://<host>/" + application + "/<stream key>")
	errPlay  = &broadcast.Refused{
		Code: "NetStream.Play.Failed", Reason: "nothing can be played over RTMP: use the channel's playback URL",
	}
)

// negotiate answers the client's commands until it wants to publish. Encoders
// send connect, releaseStream, FCPublish, createStream and publish, in this
// order; only connect and publish matter.
func (c *rtmpConn) negotiate() error {
	for c.key == "" {
		m, err := c.wire.read()
		if err != nil {
			return err
		}
		if m.kind != msgCommandAMF0 && m.kind != msgCommandAMF3 {
			continue
		}
		call, err := parseCommand(m)
		if err == nil {
			err = c.command(call)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *rtmpConn) command(call command) error {
	switch call.name {
	case "connect":
		return c.connect(call)
	case "releaseStream", "_checkbw":
		return c.wire.answer(call, "_result", nil)
	case "getStreamLength":
		return c.wire.answer(call, "_result", nil, 0.0)
	case "FCPublish":
		// An older convention than publish; encoders of its time wait for
		// the second answer.
		return errors.Join(c.wire.answer(call, "_result", nil), c.wire.send(commandChunks, command{
			name: "onFCPublish",
			args: amf0.Data{nil, info("status", "NetStream.Publish.Start", "ready to publish")},
		}))
	case "createStream":
		return c.wire.answer(call, "_result", nil, 1.0)
	case "publish":
		var err error
		c.key, err = streamKey(c.app, call.string(1))
		return err
	case "play", "play2":
		c.log.Info("client refused", "reason", errPlay)
		return errPlay
	}
	return nil // getting no answer is common
}

// connect answers the first command (RTMP 1.0 §7.2.1.1).
func (c *rtmpConn) connect(call command) error {
	c.app, _ = call.object(0).GetString("app")
	agent, _ := call.object(0).GetString("flashVer")
	c.agent = label(agent)
	if _, ok := inApplication(c.app); !ok {
		c.told = true
		c.log.Info("client refused", "reason", errNoApp)
		refusal := info("error", "NetConnection.Connect.Rejected", errNoApp.Error())
		return errors.Join(c.wire.answer(call, "_error", nil, refusal), errNoApp)
	}
	const dynamic = 2 // the limit may be exceeded (RTMP 1.0 §5.4.5)
	if err := c.wire.control4(msgWindowAckSize, ackWindow); err != nil {
		return err
	}
	if err := c.wire.control4(msgPeerBandwidth, ackWindow, dynamic); err != nil {
		return err
	}
	if err := c.wire.setChunkSize(outChunkSize); err != nil {
		return err
	}
	return c.wire.answer(call, "_result",
		amf0.Object{{Key: "fmsVer", Value: "FMS/3,5,7,7009"}, {Key: "capabilities", Value: 31.0}},
		append(info("status", "NetConnection.Connect.Success", "connected"), amf0.ObjectEntry{Key: "objectEncoding", Value: 0.0}))
}

// streamKey finds the key in the application and stream names. It is the
// stream's name, or the path below the application for clients that put a whole
// URL there. Queries at either are not part of it.
func streamKey(app, name string) (string, error) {
	name, _, _ = strings.Cut(name, "?")
	app, _, _ = strings.Cut(app, "?")
	path, ok := inApplication(app + "/" + name)
	if !ok {
		return "", errNoApp
	}
	switch key := strings.Trim(path, "/"); {
	case key == "":
		return "", &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the stream key is missing"}
	case len(key) > maxKey:
		return "", &broadcast.Refused{Code: broadcast.CodeRejected, Reason: "the stream key is not valid"}
	default:
		return key, nil
	}
}

// inApplication cuts the application off a path, without its query.
func inApplication(path string) (rest string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	first, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	return rest, first == application
}

// endsStream says whether a publisher ends its stream with this command.
func (c *command) endsStream() bool {
	return c.name == "FCUnpublish" || c.name == "deleteStream" || c.name == "closeStream"
}

// publishing tells the client that its stream is taken.
func (w *wire) publishing() error {
	if err := w.userControl(eventStreamBegin, 1); err != nil {
		return err
	}
	return w.status("status", "NetStream.Publish.Start", "publishing")
}

// ended tells the client that its stream is over, by whose will.
func (w *wire) ended(refused *broadcast.Refused) error {
	if refused == nil {
		return w.status("status", "NetStream.Unpublish.Success", "unpublished")
	}
	return w.status("error", refused.Code, refused.Reason)
}

// command is a remote procedure call or the answer to one (RTMP 1.0 §7.2).
type command struct {
	name   string
	id     float64 // of the transaction; an answer has that of its call
	args   amf0.Data
	stream uint32 // the message stream it came or goes on
}

// parseCommand reads a command message. Its errors do not repeat what is in
// it, which may be secret.
func parseCommand(m message) (c command, err error) {
	values, err := decodeAMF0(m.amf0())
	if err != nil {
		return c, malformed("command: %v", err)
	}
	if len(values) < 2 {
		return c, malformed("command is incomplete")
	}
	name, isString := values[0].(string)
	id, isNumber := values[1].(float64)
	if !isString || !isNumber {
		return c, malformed("command has no name or transaction")
	}
	return command{name: name, id: id, args: values[2:], stream: m.stream}, nil
}

// string is the argument at i if it is one, else "".
func (c *command) string(i int) string {
	if i >= len(c.args) {
		return ""
	}
	s, _ := c.args[i].(string)
	return s
}

// object is the argument at i if it is one, else empty.
func (c *command) object(i int) amf0.Object {
	if i >= len(c.args) {
		return nil
	}
	o, _ := object(c.args[i])
	return o
}

func (w *wire) send(chunks uint8, c command) error {
	body, err := append(amf0.Data{c.name, c.id}, c.args...).Marshal()
	if err != nil {
		return fmt.Errorf("encode rtmp command: %w", err)
	}
	return w.write(chunks, c.stream, msgCommandAMF0, body)
}

// answer returns values from a call.
func (w *wire) answer(call command, name string, values ...any) error {
	return w.send(commandChunks, command{name: name, id: call.id, args: values, stream: call.stream})
}

// status tells what becomes of the stream (RTMP 1.0 §7.2.2).
func (w *wire) status(level, code, description string) error {
	return w.send(statusChunks, command{
		name: "onStatus", args: amf0.Data{nil, info(level, code, description)}, stream: theStream,
	})
}

// info is the object in which RTMP tells success or failure.
func info(level, code, description string) amf0.Object {
	return amf0.Object{
		{Key: "level", Value: level},
		{Key: "code", Value: code},
		{Key: "description", Value: description},
	}
}
