// Command anabranch is a live-video server that speaks the API of Amazon IVS.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"anabranch/internal/app"
)

// commandLine is the grammar of the arguments. The settings may stand before
// or behind the command; without one it is serve.
type commandLine struct {
	app.Config

	Serve     struct{}      `cmd:"" default:"1" help:"Run the server until SIGINT or SIGTERM."`
	Recording app.Recording `cmd:"" help:"List, verify and export recordings of a running server."`
	Demo      app.Demo      `cmd:"" help:"Run the server and show what it does: a test picture is published, dropped, published again, and recorded as one."`
	Version   struct{}      `cmd:"" help:"Tell version and commit."`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "anabranch:", err)
		os.Exit(1)
	}
}

func run() error {
	var args commandLine
	command, err := app.Parse(&args, os.Args[1:])
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	switch command.Command() {
	case "version":
		fmt.Println(app.Version())
		return nil
	case "demo":
		return app.RunDemo(ctx, args.Config, args.Demo)
	case "serve":
		return app.Run(ctx, args.Config)
	default:
		command.BindTo(ctx, (*context.Context)(nil))
		return command.Run(&args.Config)
	}
}
