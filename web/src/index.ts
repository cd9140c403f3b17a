/** Joins an Anabranch stage from a web page. See the README. */
export { StageError } from './errors.js';
export type { MediaStats } from './meter.js';
export type { Kind, Participant } from './participant.js';
export type { PublishOptions } from './publication.js';
export { Stage } from './stage.js';
export type { LeftReason, PublishState, StageEvents, StageOptions, StageState } from './stage.js';
export type { SubscribeType } from './subscription.js';
export { type Claims, readToken } from './token.js';
