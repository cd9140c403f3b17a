package transcode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"anabranch/internal/media"
)

const (
	// niceness puts ffmpeg behind the server where there is too little processor
	// time for both.
	niceness = 5
	// maxLine bounds a line of ffmpeg's that is logged, in bytes; maxLines how
	// many are in a span of lineSpan.
	maxLine  = 400
	maxLines = 5
	lineSpan = 10 * time.Second
)

// deliver takes what comes out of an output; its frame has no times yet, but a PTS
// on the process's clock. An error ends the process.
type deliver func(p *process, output int, track media.Params, f media.Frame, pts int64) error

// process is one run of ffmpeg.
type process struct {
	log    *slog.Logger
	cmd    *exec.Cmd
	stdin  *os.File
	stderr *os.File
	files  []*os.File // the outputs
	stamps *stamps
	header []byte // what it is fed first
	buf    []byte
	fed    bool // with a frame

	// ended is closed when the process has ended and all it wrote has been
	// handed on. err is set then.
	ended chan struct{}
	err   error

	// mu guards what follows.
	mu       sync.Mutex
	wrong    error  // with what it wrote
	lastLine string // it said
}

// startProcess runs ffmpeg for a recipe, whose source has the tracks in.
func startProcess(program string, r recipe, in media.Params, log *slog.Logger, out deliver) (*process, error) {
	if !r.sound {
		in.Audio = nil
	}
	pictures := 0
	for _, o := range r.outputs {
		if o.kind == media.Video {
			pictures++
		}
	}
	p := &process{log: log, stamps: newStamps(in.Rate(media.Audio), pictures), header: appendFLVHeader(nil, in, r.rate)}
	return p, p.start(program, r.args, len(r.outputs), out)
}

// start runs ffmpeg. Whatever comes out is handed to out, by one goroutine for
// each output. Begin it, end it with finish or kill, and wait for ended.
func (p *process) start(program string, args []string, outputs int, out deliver) error {
	p.ended = make(chan struct{})
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = environment(os.Environ())
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the server
	if err := p.run(outputs); err != nil {
		return err
	}
	_ = syscall.Setpriority(syscall.PRIO_PGRP, p.cmd.Process.Pid, niceness) // it does without

	var readers sync.WaitGroup
	for i, file := range p.files {
		readers.Go(func() { p.read(i, newFLVReader(file), out) })
	}
	readers.Go(p.logLines)
	go func() {
		defer close(p.ended)
		readers.Wait()
		err := p.cmd.Wait()
		p.closeFiles()
		p.err = p.verdict(err)
	}()
	return nil
}

// run starts the process with its pipes.
func (p *process) run(outputs int) error {
	var ours, theirs []*os.File
	for i := range 2 + outputs {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(append(ours, theirs...))
			return fmt.Errorf("make pipe for ffmpeg: %w", err)
		}
		if i == 0 { // the standard input
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	p.cmd.Stdin, p.cmd.Stderr, p.cmd.ExtraFiles = theirs[0], theirs[1], theirs[2:]
	err := p.cmd.Start()
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		return fmt.Errorf("start ffmpeg: %w", err)
	}
	p.stdin, p.stderr, p.files = ours[0], ours[1], ours[2:]
	return nil
}

// closeFiles closes the pipes. Whoever reads or writes one is woken.
func (p *process) closeFiles() {
	closeAll(p.files)
	closeAll([]*os.File{p.stdin, p.stderr})
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // pipes: closed twice at worst
	}
}

// environment leaves out the server's own secrets.
func environment(all []string) []string {
	kept := []string{"AV_LOG_FORCE_NOCOLOR=1"}
	for _, v := range all {
		if !strings.HasPrefix(v, "ANABRANCH_") && !strings.HasPrefix(v, "AWS_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// begin feeds the tracks' configurations, with which ffmpeg makes ready for the
// first frame. Like write it may block.
func (p *process) begin() error {
	if _, err := p.stdin.Write(p.header); err != nil {
		return fmt.Errorf("feed ffmpeg: %w", err)
	}
	return nil
}

// write feeds a frame; the first is a key frame. It blocks while the process has
// enough to do.
func (p *process) write(f *media.Frame) error {
	if len(f.Payload) >= 1<<24-8 {
		return nil // longer than a tag may be
	}
	dts, pts := p.stamps.stamp(f)
	p.buf = appendFrame(p.buf, f, dts, pts)
	return p.writeBuf()
}

// writeBuf feeds what is in buf.
func (p *process) writeBuf() error {
	p.fed = true
	_, err := p.stdin.Write(p.buf)
	if p.buf = p.buf[:0]; cap(p.buf) > 1<<20 {
		p.buf = nil
	}
	if err != nil {
		return fmt.Errorf("feed ffmpeg: %w", err)
	}
	return nil
}

// finish says that no more frames come: the process ends when it has delivered
// what it has.
func (p *process) finish() {
	if !p.fed {
		p.abort() // ffmpeg would complain
		return
	}
	closeAll([]*os.File{p.stdin})
}

// kill ends the process at once and waits until nothing of it is left.
func (p *process) kill() {
	p.abort()
	<-p.ended
}

// abort ends the process at once.
func (p *process) abort() {
	p.cmd.Process.Kill()
	p.closeFiles() // should it have children that hold the other ends
}

// watch waits until the process ends, or must, and returns why it must be
// replaced: "" if the stream is at its end. fed tells that all has been fed, or why
// not. The last frames may take as long as finish once the stream is over; behind is
// asked now and then whether the process is of use.
func (p *process) watch(ctx context.Context, fed <-chan error, finish time.Duration, over func() bool, behind func(now time.Time) error) (reason string, err error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var (
		finished bool      // all was fed
		deaf     time.Time // since when it takes nothing in
		ending   time.Time // since when the stream is over
	)
	for {
		select {
		case <-ctx.Done():
			return "", nil
		case <-p.ended:
			switch {
			case finished:
				return "", p.err
			case p.err == nil:
				return "exit", errEarly
			}
			return "exit", p.err
		case err := <-fed:
			fed = nil
			switch {
			case err == nil:
				finished = true
			case errors.Is(err, errOverrun):
				return "behind", err
			default:
				deaf = time.Now() // it has a moment to say why
			}
		case now := <-tick.C:
			late := behind(now)
			switch {
			case errors.Is(late, errOverrun):
				return "behind", late
			case lasts(&deaf, now, !deaf.IsZero(), look):
				return "exit", errDeaf
			case lasts(&ending, now, over(), finish):
				return "", fmt.Errorf("ffmpeg did not deliver the last frames within %v", finish)
			case late != nil:
				return "behind", late
			}
		}
	}
}

// read hands on what comes out of an output. What is no FLV ends the process.
func (p *process) read(i int, r *flvReader, out deliver) {
	for {
		f, pts, err := r.next()
		if err == nil {
			err = out(p, i, r.params, f, pts)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				p.mu.Lock()
				p.wrong = fmt.Errorf("read output %d of ffmpeg: %w", i, err)
				p.mu.Unlock()
				p.abort()
			}
			return
		}
	}
}

// verdict is why the process ended, if that is wrong.
func (p *process) verdict(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.wrong != nil && !errors.Is(p.wrong, io.ErrUnexpectedEOF):
		return p.wrong
	case err != nil && p.lastLine != "":
		return fmt.Errorf("ffmpeg ended with %w: %s", err, p.lastLine)
	case err != nil:
		return fmt.Errorf("ffmpeg ended with %w", err)
	}
	return p.wrong
}

// logLines logs what ffmpeg says, within bounds.
func (p *process) logLines() {
	lines := bufio.NewReaderSize(p.stderr, maxLine)
	var since time.Time
	said := 0
	for whole := true; ; {
		line, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		begins := whole
		if whole = !more; !begins || len(line) == 0 {
			continue // the rest of one that is too long
		}
		if now := time.Now(); now.Sub(since) > lineSpan {
			if said > maxLines {
				p.log.Warn("ffmpeg said more", "lines", said-maxLines)
			}
			since, said = now, 0
		}
		said++
		p.mu.Lock()
		p.lastLine = string(line)
		p.mu.Unlock()
		if said <= maxLines {
			p.log.Warn("ffmpeg says", "line", string(line))
		}
	}
}
