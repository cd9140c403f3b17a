// Package e2e shows what Anabranch does for its users: it runs the program as
// it is built, under stock clients, with nothing mocked.
//
//	ffmpeg ──RTMP──→ ┌───────────┐ ──LL-HLS──→ Chromium, a viewer
//	AWS CLI, SDK ──→ │ anabranch │ ──S3──────→ bucket → ffmpeg decodes it
//	kill, restart ─→ └───────────┘ ──SQLite──→ events
//
// Each test starts a server of its own, on free ports and a folder that goes
// with the test, so all of them run side by side. A test that fails shows the
// end of its server's log.
//
// Every stream has a viewer, which follows it as players do and fails the test
// where a rule of Low-Latency HLS is broken: see package hls.
//
// In stages publishers and subscribers are pion's, GStreamer's, aiortc's and
// Chromium's. Every packet that a subscriber of pion's gets is compared with what
// was sent, byte by byte. What participants are recorded from tells its own time: each
// picture has its number in it, and sound beeps at known ones, so that recordings are
// measured, picture by picture, by what decodes from them.
//
// Servers transcode where a test is about that. A machine may be too slow for it,
// and then the server tells of gaps: that is no fault. Where nothing may be
// missing, the test is made again in slow motion.
//
// These tests know the program only from outside: they import none of its
// packages, and what they read of its files is what an operator sees. They run
// in real time. Nothing waits for a while and hopes: a wait polls for what it
// waits for, and has a deadline.
//
// The environment can say:
//
//	ANABRANCH   the program to test; built when not set
//	S3_ENDPOINT where to record to, such as http://127.0.0.1:9000, with the
//	            usual AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; the embedded
//	            store when not set
//	CHROMIUM    the browser; found when not set
//	ARTIFACTS   a folder for screenshots and logs; a temporary one when not set
//	INPUT       the inputs to try, by a part of their names; all when not set
//	SOAK        how long to watch one stream; a minute and a bit when not set
//	KILLS       how often each server of TestKill is killed, and the ffmpeg of that
//	            of TestLadderChaos, 4 times when not set; and that of
//	            TestStageRecordingKill, twice when not set
//	CHROMIUM_STAY
//	            how long the browser of TestStageRecordingChromium publishes; 10 s
//	            when not set
//	SEED        the first of these tests' seeds; another each time when not set
//	BENCHTIME   how long a benchmark measures
package e2e
