// Calls every operation of the API with the AWS SDK for JavaScript, as a program
// would that sets up channels, goes on air and cleans up.
//
//   node operations.mjs <endpoint> <region> <bucket>
//
// The SDK finds the credentials in its usual places. Each line on stdout is one
// of these, in JSON:
//
//   {"publish": key}                  asks for a broadcast with a stream key
//   {"operation": name, "status": n}  a call that was answered as it should be
//   {"problem": text}                 what is wrong
//   {"known": [names]}                all operations of the SDK; the last line
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import * as sdk from '@aws-sdk/client-ivs';
import { watchAnswers } from './answers.mjs';
import { eventually, example, operationsOf, plain, refused, tags, tell, unknown } from './story.mjs';

const [, , endpoint, region, bucket] = process.argv;
const api = new sdk.Ivs({ endpoint, region, maxAttempts: 1 });
watchAnswers(api, sdk, (operation, status) => tell({ operation, status }));

// hasEvents waits until the stream's session has all of these events.
async function hasEvents(...wanted) {
  return eventually('the events of the session', async () => {
    const { streamSession: session } = await api.getStreamSession({ channelArn: channel.arn, streamId: stream.streamId });
    const names = session.truncatedEvents.map(({ name }) => name);
    for (const name of wanted) assert.ok(names.includes(name), `no ${name} among ${names}`);
    return session;
  });
}

const has = (arns, arn) => assert.ok(arns.includes(arn), `${arn} is not listed`);

let recording, channel, streamKey, keyPair, policy, ads, stream;

await example('recording configuration', async () => {
  const name = 'all-operations';
  const { recordingConfiguration: made } = await api.createRecordingConfiguration({
    name, tags, destinationConfiguration: { s3: { bucketName: bucket } }, recordingReconnectWindowSeconds: 5,
    thumbnailConfiguration: { recordingMode: 'DISABLED' },
  });
  assert.match(made.arn, new RegExp(`^arn:aws:ivs:${region}:\\d{12}:recording-configuration/[A-Za-z0-9]{12}$`));
  recording = await eventually('the recording configuration is active', async () => {
    const { recordingConfiguration: now } = await api.getRecordingConfiguration({ arn: made.arn });
    assert.equal(now.state, 'ACTIVE');
    return now;
  });
  assert.deepEqual(recording, {
    arn: made.arn, name, tags, state: 'ACTIVE', destinationConfiguration: { s3: { bucketName: bucket } },
    recordingReconnectWindowSeconds: 5, thumbnailConfiguration: recording.thumbnailConfiguration, renditionConfiguration: recording.renditionConfiguration,
  });
  assert.equal(recording.thumbnailConfiguration.recordingMode, 'DISABLED');
  assert.equal(recording.renditionConfiguration.renditionSelection, 'ALL');
  const { recordingConfigurations: listed } = await api.listRecordingConfigurations({});
  assert.deepEqual(listed, [{ arn: made.arn, name, tags, state: 'ACTIVE', destinationConfiguration: { s3: { bucketName: bucket } } }]);
});

await example('ad configuration', async () => {
  const mediaTailorPlaybackConfigurations = [{ playbackConfigurationArn: `arn:aws:mediatailor:${region}:123456789012:playbackConfiguration/breaks` }];
  const { adConfiguration: made } = await api.createAdConfiguration({ name: 'breaks', tags, mediaTailorPlaybackConfigurations });
  assert.match(made.arn, /:ad-configuration\/[A-Za-z0-9]{12}$/);
  assert.deepEqual({ name: made.name, tags: made.tags, list: made.mediaTailorPlaybackConfigurations }, { name: 'breaks', tags, list: mediaTailorPlaybackConfigurations });
  assert.deepEqual((await api.getAdConfiguration({ arn: made.arn })).adConfiguration, made);

  const postRollConfiguration = { enabled: true, durationSeconds: 20 };
  ({ adConfiguration: ads } = await api.updateAdConfiguration({ arn: made.arn, name: 'more-breaks', postRollConfiguration }));
  assert.deepEqual(ads, { ...made, name: 'more-breaks', postRollConfiguration });
  assert.deepEqual((await api.getAdConfiguration({ arn: made.arn })).adConfiguration, ads);
  assert.deepEqual((await api.listAdConfigurations({})).adConfigurations, [ads]);
});

await example('playback restriction policy', async () => {
  const wanted = { name: 'at-home', allowedCountries: ['CH', 'DE'], allowedOrigins: ['https://example.com'], enableStrictOriginEnforcement: true, tags };
  const { playbackRestrictionPolicy: made } = await api.createPlaybackRestrictionPolicy(wanted);
  assert.match(made.arn, /:playback-restriction-policy\/[A-Za-z0-9]{12}$/);
  assert.deepEqual(made, { arn: made.arn, ...wanted });
  assert.deepEqual((await api.getPlaybackRestrictionPolicy({ arn: made.arn })).playbackRestrictionPolicy, made);

  ({ playbackRestrictionPolicy: policy } = await api.updatePlaybackRestrictionPolicy({ arn: made.arn, allowedCountries: [], enableStrictOriginEnforcement: false }));
  assert.deepEqual(policy, { ...made, allowedCountries: [], enableStrictOriginEnforcement: false });
  assert.deepEqual((await api.listPlaybackRestrictionPolicies({})).playbackRestrictionPolicies, [policy]);
});

await example('playback key pair', async () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384', publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
  ({ keyPair } = await api.importPlaybackKeyPair({ name: 'viewers', publicKeyMaterial: publicKey, tags }));
  assert.match(keyPair.arn, /:playback-key\/[A-Za-z0-9]{12}$/);
  assert.match(keyPair.fingerprint, /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
  assert.deepEqual(keyPair, { arn: keyPair.arn, name: 'viewers', fingerprint: keyPair.fingerprint, tags });
  assert.deepEqual((await api.getPlaybackKeyPair({ arn: keyPair.arn })).keyPair, keyPair);
  assert.deepEqual((await api.listPlaybackKeyPairs({})).keyPairs, [{ arn: keyPair.arn, name: 'viewers', tags }]);
  await refused(sdk.ConflictException, api.importPlaybackKeyPair({ publicKeyMaterial: publicKey }));
});

await example('channel', async () => {
  const made = await api.createChannel({ name: 'studio', insecureIngest: true, tags });
  ({ streamKey } = made);
  assert.match(made.channel.arn, /:channel\/[A-Za-z0-9]{12}$/);
  assert.match(made.channel.playbackUrl, /^https?:\/\/.*\.m3u8$/);
  assert.ok(made.channel.ingestEndpoint && made.channel.srt.endpoint && made.channel.srt.passphrase);
  assert.deepEqual(made.channel, {
    arn: made.channel.arn, name: 'studio', type: 'STANDARD', latencyMode: 'LOW', preset: '', authorized: false, insecureIngest: true, containerFormat: 'TS',
    multitrackInputConfiguration: { enabled: false, policy: 'ALLOW', maximumResolution: 'FULL_HD' },
    recordingConfigurationArn: '', playbackRestrictionPolicyArn: '', adConfigurationArn: '',
    ingestEndpoint: made.channel.ingestEndpoint, playbackUrl: made.channel.playbackUrl, srt: made.channel.srt, tags,
  });
  assert.deepEqual(plain(await api.getChannel({ arn: made.channel.arn })), { channel: made.channel });

  // What goes on air is recorded, restricted, and may have ad breaks.
  const change = {
    name: 'studio-b', type: 'BASIC', latencyMode: 'NORMAL', recordingConfigurationArn: recording?.arn,
    playbackRestrictionPolicyArn: policy?.arn, adConfigurationArn: ads?.arn,
  };
  ({ channel } = await api.updateChannel({ arn: made.channel.arn, ...change }));
  assert.deepEqual(channel, { ...made.channel, ...change });

  const { ingestEndpoint, playbackUrl, srt, multitrackInputConfiguration, containerFormat, ...summary } = channel;
  assert.deepEqual((await api.listChannels({})).channels, [summary]);
  for (const filter of [{ filterByName: 'studio-b' }, { filterByRecordingConfigurationArn: change.recordingConfigurationArn },
    { filterByPlaybackRestrictionPolicyArn: change.playbackRestrictionPolicyArn }, { filterByAdConfigurationArn: change.adConfigurationArn }]) {
    assert.deepEqual((await api.listChannels(filter)).channels, [summary], JSON.stringify(filter));
  }
  assert.deepEqual((await api.listChannels({ filterByName: 'studio' })).channels, []);
  await refused(sdk.ConflictException, api.listChannels({ filterByName: 'studio-b', filterByAdConfigurationArn: change.adConfigurationArn }));

  const both = await api.batchGetChannel({ arns: [channel.arn, unknown(channel.arn)] });
  assert.deepEqual(both.channels, [channel]);
  assert.deepEqual(both.errors.map(({ arn, code }) => [arn, code]), [[unknown(channel.arn), '404']]);
});

await example('stream key', async () => {
  assert.match(streamKey.arn, /:stream-key\/[A-Za-z0-9]{12}$/);
  assert.equal(streamKey.channelArn, channel.arn);
  await refused(sdk.ServiceQuotaExceededException, api.createStreamKey({ channelArn: channel.arn }));
  await api.deleteStreamKey({ arn: streamKey.arn });
  const old = streamKey;
  ({ streamKey } = await api.createStreamKey({ channelArn: channel.arn, tags }));
  assert.notEqual(streamKey.value, old.value);
  assert.deepEqual(streamKey.tags, tags);
  assert.deepEqual((await api.getStreamKey({ arn: streamKey.arn })).streamKey, streamKey);
  const { value, ...summary } = streamKey;
  assert.deepEqual((await api.listStreamKeys({ channelArn: channel.arn })).streamKeys, [summary]);
  const both = await api.batchGetStreamKey({ arns: [streamKey.arn, old.arn] });
  assert.deepEqual(both.streamKeys, [streamKey]);
  assert.deepEqual(both.errors.map(({ arn, code }) => [arn, code]), [[old.arn, '404']]);
});

await example('tags', async () => {
  for (const { arn } of [channel, streamKey, recording, ads, policy, keyPair]) {
    assert.deepEqual((await api.listTagsForResource({ resourceArn: arn })).tags, tags, arn);
    await api.tagResource({ resourceArn: arn, tags: { team: 'lake', stage: '' } });
    assert.deepEqual((await api.listTagsForResource({ resourceArn: arn })).tags, { ...tags, team: 'lake', stage: '' }, arn);
    await api.untagResource({ resourceArn: arn, tagKeys: ['stage', 'cost centre'] });
    assert.deepEqual((await api.listTagsForResource({ resourceArn: arn })).tags, { team: 'lake' }, arn);
  }
});

await example('offline', async () => {
  const { arn: channelArn } = channel;
  await refused(sdk.ChannelNotBroadcasting, api.getStream({ channelArn }));
  await refused(sdk.ChannelNotBroadcasting, api.stopStream({ channelArn }));
  await refused(sdk.ChannelNotBroadcasting, api.putMetadata({ channelArn, metadata: 'nobody sees this' }));
  await refused(sdk.ChannelNotBroadcasting, api.insertAdBreak({ channelArn, durationSeconds: 10 }));
  assert.deepEqual((await api.listStreams({})).streams, []);
  assert.deepEqual((await api.listStreamSessions({ channelArn })).streamSessions, []);
  await refused(sdk.ResourceNotFoundException, api.getStreamSession({ channelArn }));
});

await example('on air', async () => {
  const { arn: channelArn } = channel;
  tell({ publish: streamKey.value });
  stream = await eventually('the channel is live', async () => {
    try {
      return (await api.getStream({ channelArn })).stream;
    } catch (err) {
      assert.ok(!(err instanceof sdk.ChannelNotBroadcasting), 'it is offline');
      throw err;
    }
  });
  assert.match(stream.streamId, /^st-[A-Za-z0-9]{23}$/);
  assert.ok(stream.startTime instanceof Date && Math.abs(Date.now() - stream.startTime) < 60000, `it began at ${stream.startTime}`);
  assert.deepEqual(stream, { channelArn, streamId: stream.streamId, playbackUrl: channel.playbackUrl, startTime: stream.startTime,
    state: 'LIVE', health: stream.health, viewerCount: stream.viewerCount });
  assert.equal(stream.viewerCount, 0);
  await hasEvents('Session Created', 'Stream Start'); // there is a picture

  const { streams: [summary, ...others] } = await api.listStreams({});
  assert.deepEqual(others, []);
  assert.equal('playbackUrl' in summary, false);
  assert.deepEqual([summary.channelArn, summary.streamId, summary.state], [channelArn, stream.streamId, 'LIVE']);
  const { streams: healthy } = await eventually('the stream is healthy', async () => {
    const list = await api.listStreams({ filterBy: { health: 'HEALTHY' } });
    assert.equal(list.streams.length, 1);
    return list;
  });
  assert.equal(healthy[0].streamId, stream.streamId);
  assert.deepEqual((await api.listStreams({ filterBy: { health: 'STARVING' } })).streams, []);
  await refused(sdk.ConflictException, api.updateChannel({ arn: channelArn, name: 'studio-c' }));
  await refused(sdk.ConflictException, api.deleteChannel({ arn: channelArn }));
});

await example('timed metadata', async () => {
  const { arn: channelArn } = channel;
  await api.putMetadata({ channelArn, metadata: '{"score":"3:2 – Zürich"}' });
  await refused(sdk.ValidationException, api.putMetadata({ channelArn, metadata: 'x'.repeat(1025) }), 'metadata');
});

await example('ad break', async () => {
  const { arn: channelArn } = channel;
  const { adBreakId } = await api.insertAdBreak({ channelArn, durationSeconds: 30 });
  assert.match(adBreakId, /^[A-Za-z0-9]{12}$/);
  await refused(sdk.ConflictException, api.insertAdBreak({ channelArn, durationSeconds: 30 }));
});

await example('session', async () => {
  const { arn: channelArn } = channel;
  const session = await hasEvents('Session Created', 'Stream Start', 'Recording Start', 'Ad Break Inserted');
  assert.deepEqual([session.streamId, +session.startTime, session.endTime], [stream.streamId, +stream.startTime, undefined]);
  assert.equal(session.channel.arn, channelArn);
  assert.equal(session.recordingConfiguration.arn, recording.arn);
  const [video] = session.ingestConfigurations.videoConfigurations;
  const [audio] = session.ingestConfigurations.audioConfigurations;
  assert.deepEqual([video.videoWidth, video.videoHeight, video.targetFramerate, video.track], [640, 360, 30, 'Track0']);
  assert.match(video.codec, /^avc1\.[0-9a-f]{6}$/i);
  assert.deepEqual([audio.codec, audio.channels, audio.sampleRate, audio.track], ['mp4a.40.2', 1, 48000, 'Track0']);
  assert.equal(session.truncatedEvents.at(-1).name, 'Session Created', 'the newest event comes first');
  assert.deepEqual((await api.getStreamSession({ channelArn })).streamSession.streamId, stream.streamId);
});

await example('stop', async () => {
  const { arn: channelArn } = channel;
  assert.deepEqual(plain(await api.stopStream({ channelArn })), {});
  await eventually('the channel is offline', () => refused(sdk.ChannelNotBroadcasting, api.getStream({ channelArn })));
  const { streamSessions } = await api.listStreamSessions({ channelArn });
  const stopped = streamSessions.find(({ streamId }) => streamId === stream.streamId);
  assert.ok(stopped.endTime >= stopped.startTime);
  assert.equal(stopped.hasErrorEvent, false);
});

await example('revocation', async () => {
  const { arn: channelArn } = channel;
  assert.deepEqual(plain(await api.startViewerSessionRevocation({ channelArn, viewerId: 'viewer-1', viewerSessionVersionsLessThanOrEqualTo: 3 })), {});
  const missing = { channelArn: unknown(channelArn), viewerId: 'viewer-3' };
  const { errors } = await api.batchStartViewerSessionRevocation({ viewerSessions: [{ channelArn, viewerId: 'viewer-2' }, missing] });
  assert.equal(errors.length, 1);
  assert.deepEqual({ channelArn: errors[0].channelArn, viewerId: errors[0].viewerId }, missing);
  assert.ok(errors[0].code && errors[0].message, 'the error does not say why');
});

await example('pages', async () => {
  const { channel: second } = await api.createChannel({ name: 'second' });
  const config = { client: api, pageSize: 1 };
  const listed = [];
  for await (const page of sdk.paginateListChannels(config, {})) {
    assert.ok(page.channels.length <= 1, `a page of ${page.channels.length}`);
    listed.push(...page.channels.map(({ arn }) => arn));
  }
  has(listed, channel.arn);
  has(listed, second.arn);
  assert.equal(listed.length, 2);
  const ofChannel = { ListStreamKeys: true, ListStreamSessions: true };
  for (const name of Object.keys(sdk).filter((name) => name.startsWith('paginate'))) {
    const operation = name.slice('paginate'.length);
    for await (const page of sdk[name](config, ofChannel[operation] ? { channelArn: channel.arn } : {})) {
      const [list] = Object.values(plain(page)).filter(Array.isArray);
      assert.ok(list.length <= 1, `${operation}: a page of ${list.length}`);
    }
  }
  await refused(sdk.ValidationException, api.listChannels({ nextToken: 'bm90IG91cnM=' }), 'nextToken');
  await api.deleteChannel({ arn: second.arn });
});

await example('what is in use stays', async () => {
  await refused(sdk.ConflictException, api.deleteRecordingConfiguration({ arn: recording.arn }));
  await refused(sdk.ConflictException, api.deletePlaybackRestrictionPolicy({ arn: policy.arn }));
  await refused(sdk.ConflictException, api.deleteAdConfiguration({ arn: ads.arn }));
});

await example('clean up', async () => {
  const { channel: free } = await api.updateChannel({ arn: channel.arn, recordingConfigurationArn: '', playbackRestrictionPolicyArn: '', adConfigurationArn: '' });
  assert.deepEqual([free.recordingConfigurationArn, free.playbackRestrictionPolicyArn, free.adConfigurationArn], ['', '', '']);
  for (const [operation, { arn }] of Object.entries({
    deleteRecordingConfiguration: recording, deletePlaybackRestrictionPolicy: policy, deleteAdConfiguration: ads, deletePlaybackKeyPair: keyPair, deleteChannel: channel,
  })) {
    assert.deepEqual(plain(await api[operation]({ arn })), {});
    await refused(sdk.ResourceNotFoundException, api[operation]({ arn }));
  }
});

await example('what is not there', async () => {
  const { arn: channelArn } = channel;
  for (const [operation, input] of [
    ['getChannel', { arn: channelArn }], ['updateChannel', { arn: channelArn, name: 'x' }],
    ['createStreamKey', { channelArn }], ['listStreamKeys', { channelArn }], ['getStreamKey', { arn: streamKey.arn }], ['deleteStreamKey', { arn: streamKey.arn }],
    ['getStream', { channelArn }], ['stopStream', { channelArn }], ['putMetadata', { channelArn, metadata: 'x' }], ['insertAdBreak', { channelArn, durationSeconds: 1 }],
    ['getRecordingConfiguration', { arn: recording.arn }], ['getPlaybackKeyPair', { arn: keyPair.arn }],
    ['getPlaybackRestrictionPolicy', { arn: policy.arn }], ['updatePlaybackRestrictionPolicy', { arn: policy.arn, name: 'x' }],
    ['getAdConfiguration', { arn: ads.arn }], ['updateAdConfiguration', { arn: ads.arn, name: 'x' }],
    ['startViewerSessionRevocation', { channelArn, viewerId: 'x' }],
    ['listTagsForResource', { resourceArn: channelArn }], ['tagResource', { resourceArn: channelArn, tags }], ['untagResource', { resourceArn: channelArn, tagKeys: ['team'] }],
    ['createChannel', { recordingConfigurationArn: recording.arn }], ['createChannel', { playbackRestrictionPolicyArn: policy.arn }], ['createChannel', { adConfigurationArn: ads.arn }],
  ]) {
    await example(operation, () => refused(sdk.ResourceNotFoundException, api[operation](input)));
  }
});

await example('what is wrong is named', async () => {
  for (const [operation, input, member] of [
    ['createChannel', { name: 'no spaces!' }, 'name'], ['createChannel', { type: 'GRAND' }, 'type'], ['getChannel', {}, 'arn'],
    ['batchGetChannel', { arns: [] }, 'arns'], ['listChannels', { maxResults: 101 }, 'maxResults'], ['listStreams', { filterBy: { health: 'ILL' } }, 'health'],
    ['createRecordingConfiguration', { destinationConfiguration: { s3: { bucketName: 'X' } } }, 'bucketName'],
    ['importPlaybackKeyPair', { publicKeyMaterial: 'no key' }, 'publicKeyMaterial'],
    ['createPlaybackRestrictionPolicy', { allowedCountries: ['Switzerland'] }, 'allowedCountries'],
    ['createAdConfiguration', { mediaTailorPlaybackConfigurations: [] }, 'mediaTailorPlaybackConfigurations'],
    ['insertAdBreak', { channelArn: channel.arn, durationSeconds: 301 }, 'durationSeconds'],
    ['startViewerSessionRevocation', { channelArn: channel.arn, viewerId: 'v'.repeat(41) }, 'viewerId'],
    ['batchStartViewerSessionRevocation', { viewerSessions: [] }, 'viewerSessions'],
    ['tagResource', { resourceArn: channel.arn, tags: { 'a,b': '' } }, 'tags'],
  ]) {
    await example(operation, () => refused(sdk.ValidationException, api[operation](input), member));
  }
});

await example('a stranger', async () => {
  const stranger = new sdk.Ivs({ endpoint, region, credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'no secret' } });
  await assert.rejects(stranger.listChannels({}), ({ $metadata }) => $metadata.httpStatusCode === 403);
});

tell({ known: operationsOf(sdk) });
