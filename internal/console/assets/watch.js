// Plays one channel for as long as the page is open: waits for it when it is
// offline, goes on through interruptions, and starts again after the end.
//
//   attempt → offline, ended or lost → look every second → attempt → …
//
// An attempt is one player fed from one playback session. It mends what it can
// by itself; only when that fails is it given up and a new one made.
//
// Tests and curious people find all of it in window.anabranch.
'use strict';

(() => {
  const page = document.body;
  const video = document.getElementById('video');
  const query = new URLSearchParams(location.search);
  const token = query.get('token'); // of a private channel
  const address = new URL(page.dataset.source, location.href);
  if (token) address.searchParams.set('token', token);
  const source = address.href;

  // Milliseconds.
  const LOOK_EVERY = 1000; // while there is nothing to play
  const REFUSED_FOR = 10000; // before who was refused tries again
  const AFTERLIFE = 60000; // how long an ended playlist is still there
  const TICK = 250;
  const STALE = 3000; // without a new part: the publisher, or the network, is gone
  const STUCK = 6000; // media in the buffer, and still no progress
  const NUDGE = 10000; // nothing new, and no error: hls.js may have stopped loading
  const SETTLE = 3000; // of an attempt, in which to jump to where it should be
  const CALM = 60000; // without a stall, venture closer again

  // Seconds.
  const NEAR = 0.1; // as far from the wanted distance, do nothing
  const FAR = 8; // jump, for catching up would take too long

  const words = {
    offline: 'The channel is offline. It starts here as soon as it is live.',
    live: '',
    reconnecting: 'Reconnecting. The picture goes on when the stream is back.',
    ended: 'The stream has ended.',
    refused: 'Playback is not allowed.',
  };

  // Takes the reason out of what the server said to who may not watch. It is
  // 'lost' where a new session may do.
  function refusal(said) {
    let reason = '';
    try {
      const [{ error, error_code: code }] = JSON.parse(said);
      if (code === 'outdated_playback_session' || code === 'invalid_playback_session') return 'lost';
      reason = `: ${error}`;
    } catch { /* a proxy's answer */ }
    words.refused = `Playback is not allowed${reason}.`;
    return 'refused';
  }

  let state = 'offline';
  let hls = null;
  const errors = []; // the newest of the player's, for diagnosis

  // The page shows one state at a time.
  function show(next) {
    if (next === state && page.dataset.state === next && next !== 'refused') return;
    state = next;
    page.dataset.state = next;
    document.querySelector('#state span').textContent = next;
    document.getElementById('curtain').textContent = words[next];
  }

  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  // --- the server's clock -------------------------------------------------

  let ahead = null; // server's clock minus ours, in milliseconds

  // The answer of the quickest of a few requests is the most exact.
  async function setClock() {
    let best = Infinity;
    for (let i = 0; i < 4; i++) {
      try {
        const sent = performance.now();
        const answer = await fetch('../clock', { cache: 'no-store' });
        const { now } = await answer.json();
        const trip = performance.now() - sent;
        if (trip < best) {
          best = trip;
          ahead = now + trip / 2 - Date.now();
        }
      } catch {
        return; // the next round may do better
      }
    }
  }

  const serverNow = () => Date.now() + (ahead ?? 0);

  // Seconds from the server's clock back to the time the picture was received,
  // as EXT-X-PROGRAM-DATE-TIME tells it; null when unknown.
  function latency() {
    let at = NaN;
    if (hls) at = hls.playingDate?.getTime() ?? NaN;
    else if (video.getStartDate) at = video.getStartDate().getTime() + video.currentTime * 1000;
    return ahead === null || Number.isNaN(at) ? null : (serverNow() - at) / 1000;
  }

  // --- the choice of quality ----------------------------------------------

  const quality = document.getElementById('quality');
  let wanted = ''; // what was chosen, through all attempts; '' leaves it to the player

  // Its shorter side, and how many pictures a second, where that is more than
  // people expect.
  const nameOf = ({ width, height, frameRate }) =>
    height ? `${Math.min(width, height)}p${frameRate > 36 ? Math.round(frameRate) : ''}` : 'sound';

  // Lists the player's levels, best first, where there is a choice.
  function offerLevels() {
    const names = hls.levels.map(nameOf).reverse();
    quality.replaceChildren(new Option('Auto', ''), ...names.map((name) => new Option(name, name)));
    quality.value = names.includes(wanted) ? wanted : '';
    quality.closest('div').hidden = names.length < 2;
    tellLevel();
  }

  // Says what the player has chosen by itself.
  function tellLevel() {
    const level = hls.autoLevelEnabled && hls.levels[hls.currentLevel];
    quality.options[0].text = level ? `Auto (${nameOf(level)})` : 'Auto';
  }

  const levelWanted = () => hls.levels.findIndex((level) => nameOf(level) === wanted); // -1 is auto

  quality.addEventListener('change', () => {
    wanted = quality.value;
    if (!hls) return;
    hls.nextLevel = levelWanted();
    tellLevel();
  });

  // --- one attempt with hls.js --------------------------------------------

  // Servers restart and networks fail: no answer, and answers that blame the
  // server, are asked for again without end. A plain refusal is final.
  const persist = (_policy, _count, isTimeout, response) =>
    isTimeout || !response || response.code === 0 || response.code >= 500;

  const policy = (maxLoadTimeMs, maxNumRetry, shouldRetry) => ({
    default: {
      maxTimeToFirstByteMs: 8000, // blocking requests are answered within 5 s
      maxLoadTimeMs,
      timeoutRetry: { maxNumRetry, retryDelayMs: 0, maxRetryDelayMs: 0, shouldRetry },
      errorRetry: { maxNumRetry, retryDelayMs: 250, maxRetryDelayMs: 2000, shouldRetry },
    },
  });

  const config = {
    lowLatencyMode: true,
    liveSyncOnStallIncrease: 0, // the page keeps the distance
    // Nothing of backBufferLength: where it is trimmed while the parts of a
    // segment load, hls.js 1.7 may load nothing more for some seconds.
    manifestLoadPolicy: policy(10000, 0), // LOOK_EVERY does the rest
    playlistLoadPolicy: policy(15000, Infinity, persist),
    fragLoadPolicy: policy(30000, Infinity, persist),
  };

  // Resolves to why it is over: 'offline', 'ended', 'refused' or 'lost'.
  function playWithHls() {
    return new Promise((over) => {
      const player = new Hls(config);
      hls = player;
      let newest = ''; // last part listed
      let grown = performance.now(); // when it came
      let ending = false; // ENDLIST is there
      let troubles = 0; // fatal ones since media last arrived
      let position = -1;
      let moved = performance.now();
      let nudged = moved; // last time it went on, or was told to load
      let fed = moved; // last time it was still, for want of media or by wish
      let began = 0; // when the picture first moved
      let calm = moved; // since when nothing stalled
      let room = 0; // seconds of distance more than the server asks for

      const part = () => player.latestLevelDetails?.partTarget || 1;

      // Keeps the picture as far from the live edge as the server asks for, and
      // for some time a part more after each stall.
      const keepDistance = (now) => {
        began ||= now;
        if (room > 0 && now - calm > CALM) {
          room = Math.max(0, room - part());
          calm = now;
        }
        const { partHoldBack, holdBack, partTarget } = player.latestLevelDetails;
        const target = (partHoldBack || holdBack) + room;
        if (target !== player.targetLatency) player.targetLatency = target;
        const behind = player.latency - target;
        if (behind > FAR) video.currentTime = player.liveSyncPosition;
        if (behind > FAR || !partTarget) return;
        if (now - began < SETTLE && behind > 2 * NEAR && player.mainForwardBufferInfo?.len > behind + partTarget / 2) {
          video.currentTime += behind; // that long it took to load
        } else if (behind < -0.4 * target) {
          // Woken by the first part after an interruption, the player would go
          // on so close to the edge that it starved again at once.
          video.pause();
          setTimeout(start, -1000 * behind);
        } else if (Math.abs(behind) > NEAR) {
          video.playbackRate = behind < 0 ? 0.95 : behind < 4 * NEAR ? 1.05 : 1.1;
        } else if (behind * (video.playbackRate - 1) <= 0) {
          video.playbackRate = 1; // there
        }
      };

      const finish = (why) => {
        clearInterval(ticker);
        player.stopLoad();
        over(why);
      };

      player.on(Hls.Events.LEVEL_LOADED, (_event, { details }) => {
        const now = `${details.lastPartSn} ${details.lastPartIndex} ${details.endSN}`;
        if (now !== newest) {
          grown = performance.now();
          if (state === 'reconnecting') room = 0; // the stall was not the network's fault
        }
        newest = now;
        ending = !details.live;
      });
      player.on(Hls.Events.FRAG_BUFFERED, () => { troubles = 0; });
      player.on(Hls.Events.ERROR, (_event, e) => {
        errors.push({ at: Date.now(), type: e.type, details: e.details, fatal: e.fatal, code: e.response?.code, text: e.error?.message?.slice(0, 300) });
        if (errors.length > 100) errors.shift();
        if (e.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) {
          calm = performance.now();
          // At the start there may not be more media yet.
          if (began && calm - began > SETTLE) room = Math.min(room + part(), 4 * part());
        }
        const code = e.response?.code;
        const ofPlaylist = e.details.startsWith('manifest') || e.details.startsWith('level');
        if (ofPlaylist && code === 403) return finish(refusal(e.networkDetails?.responseText)); // hls.js would go on asking
        if (!e.fatal) return;
        if (ofPlaylist && code === 404) return finish('offline');
        if (ofPlaylist && code >= 400) return finish('lost'); // a new session may do
        if (e.details.startsWith('manifest') || ++troubles > 3) return finish('lost');
        if (e.type === Hls.ErrorTypes.MEDIA_ERROR) player.recoverMediaError();
        else setTimeout(() => player === hls && player.startLoad(), 500 * troubles);
      });

      const ticker = setInterval(() => {
        const now = performance.now();
        if (video.currentTime !== position) {
          position = video.currentTime;
          moved = now;
        }
        const parts = player.latestLevelDetails?.partTarget > 0;
        const still = now - moved;
        if (ending && (video.ended || still > STALE)) return finish('ended');
        const stale = !ending && (now - grown > (parts ? STALE : 4 * STALE) || !video.paused && still > STALE);
        if (newest && stale) show('reconnecting');
        else if (newest && (video.paused || still < 2 * TICK)) show('live'); // the picture moves
        if (!stale) nudged = now;
        else if (now - nudged > NUDGE) {
          nudged = now;
          player.stopLoad();
          player.startLoad();
        }

        if (still < TICK || video.paused || !(player.mainForwardBufferInfo?.len > 0.5)) fed = now;
        if (now - fed > STUCK) {
          fed = now;
          if (++troubles > 3) return finish('lost');
          player.recoverMediaError();
        }
        if (newest && !stale && !ending && !video.paused && still < TICK) keepDistance(now);
      }, TICK);

      player.loadSource(source);
      player.attachMedia(video);
      player.on(Hls.Events.LEVELS_UPDATED, offerLevels);
      player.on(Hls.Events.LEVEL_SWITCHED, tellLevel);
      player.once(Hls.Events.MANIFEST_PARSED, () => {
        video.poster = new URL('poster.jpg', player.levels[0].uri).href; // until the picture moves
        offerLevels();
        if (levelWanted() >= 0) player.loadLevel = levelWanted();
        start();
      });
    });
  }

  // --- one attempt with what the browser brings ---------------------------

  function playNatively() {
    return new Promise((over) => {
      const listeners = new AbortController();
      const on = (event, f) => video.addEventListener(event, f, { signal: listeners.signal });
      let moved = performance.now();
      const finish = (why) => {
        clearInterval(ticker);
        listeners.abort();
        over(why);
      };
      on('timeupdate', () => { moved = performance.now(); show('live'); });
      on('ended', () => finish('ended'));
      on('error', () => {
        errors.push({ at: Date.now(), details: video.error?.message, fatal: true });
        finish('lost');
      });
      const ticker = setInterval(() => {
        if (!video.paused && state === 'live' && performance.now() - moved > STALE) show('reconnecting');
      }, TICK);
      video.src = source;
      start();
    });
  }

  // Sound needs a click in most browsers, and pictures do not.
  function start() {
    video.play().catch(() => {
      video.muted = true;
      video.play().catch(() => {}); // the controls are there
    });
  }

  function clear() {
    hls?.destroy();
    hls = null;
    video.removeAttribute('src');
  }

  // --- for as long as the page is open ------------------------------------

  // Tells whether there is something to play: 'live', 'ended', 'offline',
  // 'refused', or 'away' when the server does not answer. A token that is good
  // for one session is left to the player.
  async function look() {
    try {
      const answer = await fetch(source, { method: token ? 'HEAD' : 'GET', cache: 'no-store' });
      if (answer.status === 403) return refusal(await (token ? await fetch(source) : answer).text());
      if (!answer.ok) return answer.status < 500 ? 'offline' : 'away';
      if (token) return 'live'; // or just ended
      const lines = (await answer.text()).trim().split('\n');
      const list = await fetch(new URL(lines.at(-1), answer.url), { cache: 'no-store' });
      return (await list.text()).includes('#EXT-X-ENDLIST') ? 'ended' : 'live';
    } catch {
      return 'away';
    }
  }

  const useHls = typeof Hls !== 'undefined' && Hls.isSupported() && query.get('player') !== 'native';
  const useNative = !useHls && video.canPlayType('application/vnd.apple.mpegurl') !== '';

  async function run() {
    for (;;) {
      const why = await (useHls ? playWithHls() : playNatively());
      show(why === 'lost' && state === 'live' ? 'reconnecting' : why === 'lost' ? state : why);
      const over = performance.now();
      for (;;) {
        await sleep(state === 'refused' ? REFUSED_FOR : LOOK_EVERY);
        const found = await look();
        if (found === 'live' && token && why === 'ended' && performance.now() - over < AFTERLIFE) continue;
        if (found === 'live') break;
        // The end stays told after the channel is gone, as does an interruption
        // while the server is.
        if (found === 'away') show(state === 'live' ? 'reconnecting' : state);
        else if (found === 'ended' || state !== 'ended') show(found);
      }
      clear();
    }
  }

  setInterval(() => {
    const seconds = latency();
    const playing = state === 'live' && seconds !== null && !video.paused;
    document.getElementById('latency').textContent = playing ? `${seconds.toFixed(2)} s` : '–';
    document.getElementById('picture').textContent = video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : '–';
  }, 500);

  document.getElementById('player').textContent =
    useHls ? `hls.js ${Hls.version}` : useNative ? 'browser' : 'none';

  window.anabranch = {
    get hls() { return hls; },
    video,
    source,
    errors,
    state: () => state,
    latency,
    serverNow,
  };

  show('offline');
  setClock();
  setInterval(setClock, 60000);
  if (useHls || useNative) run();
  else document.getElementById('curtain').textContent = 'This browser cannot play HLS.';
})();
