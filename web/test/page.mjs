// A page with a stage: what tests of stages begin with.
import { Stage, StageError } from '../dist/index.js';
import { pass, seen, tokenOf, Track, world } from './fakes.mjs';

export let server;
export let stage;
export let happened; // events, in a word or two

// Begins anew, with a stage that is not joined.
export function begin() {
  server = world();
  make();
}

export function make(claims, options) {
  stage = new Stage(tokenOf(claims), options);
  happened = [];
  for (const name of ['state', 'left', 'participant-joined', 'participant-left', 'stream-added', 'stream-removed', 'publish-state']) {
    stage.on(name, (what, more) => happened.push([name, what?.id ?? what, more instanceof StageError ? more.code : undefined].filter(Boolean).join(' ')));
  }
}

// In the stage, with others.
export async function inside(...others) {
  const joined = stage.join();
  await pass(0);
  server.state(seen('me'), ...others);
  await joined;
  await pass(200);
  happened.length = 0;
}

// Settles a promise that fails, and lets time pass meanwhile.
export async function failure(promise, milliseconds = 0) {
  const settled = promise.then(() => null, (error) => error);
  await pass(milliseconds);
  return settled;
}

export const camera = () => [new Track('audio'), new Track('video', { width: 1280, height: 720 })];
export const posts = (path) => server.count(`POST ${path}`);
