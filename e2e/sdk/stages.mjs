// Calls every operation on stages with the AWS SDK for JavaScript, as a program
// would that sets up a stage, lets somebody join and cleans up.
//
//   node stages.mjs <endpoint> <region> <bucket>
//
// The SDK finds the credentials in its usual places. Each line on stdout is one
// of these, in JSON:
//
//   {"join": {arn, id, token}}        asks for a participant to join a stage
//   {"operation": name, "status": n}  a call that was answered as it should be
//   {"problem": text}                 what is wrong
//   {"known": [names]}                the operations of the SDK that can work;
//                                     the last line
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import * as sdk from '@aws-sdk/client-ivs-realtime';
import { watchAnswers } from './answers.mjs';
import { eventually, example, operationsOf, plain, refused, tags, tell, unknown } from './story.mjs';

const [, , endpoint, region, bucket] = process.argv;
const api = new sdk.IVSRealTime({ endpoint, region, maxAttempts: 1 });
watchAnswers(api, sdk, (operation, status) => tell({ operation, status }));

const notRecorded = {
  storageConfigurationArn: '', mediaTypes: ['AUDIO_VIDEO'], recordingReconnectWindowSeconds: 0, recordParticipantReplicas: true,
  thumbnailConfiguration: { targetIntervalSeconds: 60, storage: ['SEQUENTIAL'], recordingMode: 'DISABLED' },
  hlsConfiguration: { targetSegmentDurationSeconds: 6 },
};

// notThere are operations on what this server does not have yet.
const notThere = ['StartComposition', 'GetComposition', 'StopComposition', 'StartParticipantReplication', 'StopParticipantReplication'];

let stage, tokens, storage, encoder, ingest, publicKey;

await example('storage configuration', async () => {
  ({ storageConfiguration: storage } = await api.createStorageConfiguration({ name: 'shelf', s3: { bucketName: bucket }, tags }));
  assert.match(storage.arn, new RegExp(`^arn:aws:ivs:${region}:\\d{12}:storage-configuration/[A-Za-z0-9]{12}$`));
  assert.deepEqual(storage, { arn: storage.arn, name: 'shelf', s3: { bucketName: bucket }, tags });
  assert.deepEqual((await api.getStorageConfiguration({ arn: storage.arn })).storageConfiguration, storage);
  assert.deepEqual((await api.listStorageConfigurations({})).storageConfigurations, [storage]);
  await refused(sdk.ValidationException, api.createStorageConfiguration({ s3: { bucketName: 'no-such-bucket' } }), 's3.bucketName');
});

await example('encoder configuration', async () => {
  const video = { width: 1280, height: 720, framerate: 29.97, bitrate: 2_000_000 };
  ({ encoderConfiguration: encoder } = await api.createEncoderConfiguration({ name: 'hd', video, tags }));
  assert.match(encoder.arn, /:encoder-configuration\/[A-Za-z0-9]{12}$/);
  assert.deepEqual(encoder, { arn: encoder.arn, name: 'hd', video, tags });
  assert.deepEqual((await api.getEncoderConfiguration({ arn: encoder.arn })).encoderConfiguration, encoder);
  assert.deepEqual((await api.listEncoderConfigurations({})).encoderConfigurations, [{ arn: encoder.arn, name: 'hd', tags }]);
});

await example('public key', async () => {
  const { publicKey: pem } = generateKeyPairSync('ec', { namedCurve: 'P-384', publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
  ({ publicKey } = await api.importPublicKey({ name: 'app', publicKeyMaterial: pem, tags }));
  assert.match(publicKey.arn, /:public-key\/[A-Za-z0-9]{12}$/);
  assert.match(publicKey.fingerprint, /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/);
  assert.deepEqual(publicKey, { arn: publicKey.arn, name: 'app', publicKeyMaterial: pem, fingerprint: publicKey.fingerprint, tags });
  assert.deepEqual((await api.getPublicKey({ arn: publicKey.arn })).publicKey, publicKey);
  assert.deepEqual((await api.listPublicKeys({})).publicKeys, [{ arn: publicKey.arn, name: 'app', tags }]);
  await refused(sdk.ConflictException, api.importPublicKey({ publicKeyMaterial: pem }));
});

await example('stage', async () => {
  const made = await api.createStage({
    name: 'studio', tags, participantTokenConfigurations: [
      { userId: 'ana', duration: 60, capabilities: ['PUBLISH'], attributes: { role: 'host' } }, {}, { capabilities: [] },
    ],
  });
  ({ stage } = made);
  tokens = made.participantTokens;
  assert.match(stage.arn, /:stage\/[A-Za-z0-9]{12}$/);
  assert.match(stage.endpoints.events, /^ws:.*\/events$/);
  assert.match(stage.endpoints.whip, /^http:.*\/whip$/);
  assert.match(stage.endpoints.rtmp, /^rtmp:\/\/.*:\d+\/app\/$/);
  assert.match(stage.endpoints.rtmps, /^rtmps:\/\/.*:\d+\/app\/$/);
  assert.deepEqual(stage, { arn: stage.arn, name: 'studio', tags, endpoints: stage.endpoints, autoParticipantRecordingConfiguration: notRecorded });
  const told = tokens.map(({ userId, duration, capabilities, attributes }) => ({ userId, duration, capabilities, attributes }));
  assert.deepEqual(told, [
    { userId: 'ana', duration: 60, capabilities: ['PUBLISH'], attributes: { role: 'host' } },
    { userId: '', duration: 720, capabilities: ['PUBLISH', 'SUBSCRIBE'], attributes: {} },
    { userId: '', duration: 720, capabilities: [], attributes: {} },
  ]);
  assert.deepEqual((await api.getStage({ arn: stage.arn })).stage, stage);

  const recording = { ...notRecorded, storageConfigurationArn: storage.arn, hlsConfiguration: { targetSegmentDurationSeconds: 2 }, recordParticipantReplicas: false };
  const changed = { ...stage, name: 'studio-b', autoParticipantRecordingConfiguration: recording };
  assert.deepEqual((await api.updateStage({ arn: stage.arn, name: 'studio-b', autoParticipantRecordingConfiguration: {
    storageConfigurationArn: storage.arn, hlsConfiguration: { targetSegmentDurationSeconds: 2 }, recordParticipantReplicas: false,
  } })).stage, changed);
  assert.deepEqual((await api.getStage({ arn: stage.arn })).stage, changed);
  await refused(sdk.ConflictException, api.deleteStorageConfiguration({ arn: storage.arn }));
  ({ stage } = await api.updateStage({ arn: stage.arn, autoParticipantRecordingConfiguration: { storageConfigurationArn: '' } }));
  assert.deepEqual(stage, { ...changed, autoParticipantRecordingConfiguration: notRecorded });
  assert.deepEqual((await api.listStages({})).stages, [{ arn: stage.arn, name: 'studio-b', tags }]);
});

await example('participant token', async () => {
  const { participantToken: token } = await api.createParticipantToken({ stageArn: stage.arn, userId: 'ben', duration: 1, capabilities: ['SUBSCRIBE'] });
  assert.match(token.participantId, /^[A-Za-z0-9]{12}$/);
  assert.equal(token.token.split('.').length, 3);
  const left = token.expirationTime - Date.now();
  assert.ok(left > 30_000 && left <= 60_000, `it expires in ${left} ms`);
  assert.deepEqual({ userId: token.userId, duration: token.duration, capabilities: token.capabilities, attributes: token.attributes },
    { userId: 'ben', duration: 1, capabilities: ['SUBSCRIBE'], attributes: {} });
});

await example('ingest configuration', async () => {
  const wanted = { name: 'camera', ingestProtocol: 'RTMPS', userId: 'cem', attributes: { role: 'camera' }, tags };
  const { ingestConfiguration: made } = await api.createIngestConfiguration(wanted);
  assert.match(made.arn, /:ingest-configuration\/[A-Za-z0-9]{12}$/);
  assert.match(made.streamKey, new RegExp(`^rt_\\d{12}_${region}_[A-Za-z0-9]{12}_.+$`));
  assert.deepEqual(made, { arn: made.arn, ...wanted, stageArn: '', state: 'INACTIVE', streamKey: made.streamKey, participantId: made.participantId, redundantIngest: false });
  ({ ingestConfiguration: ingest } = await api.updateIngestConfiguration({ arn: made.arn, stageArn: stage.arn }));
  assert.deepEqual(ingest, { ...made, stageArn: stage.arn });
  assert.deepEqual((await api.getIngestConfiguration({ arn: made.arn })).ingestConfiguration, ingest);
  const { streamKey, attributes, tags: _, ...summary } = ingest;
  for (const filter of [{}, { filterByStageArn: stage.arn }, { filterByState: 'INACTIVE' }]) {
    assert.deepEqual((await api.listIngestConfigurations(filter)).ingestConfigurations, [summary], JSON.stringify(filter));
  }
  await refused(sdk.ValidationException, api.listIngestConfigurations({ filterByStageArn: stage.arn, filterByState: 'ACTIVE' }), 'one filter');
});

await example('tags', async () => {
  for (const { arn } of [stage, storage, encoder, ingest, publicKey]) {
    assert.deepEqual((await api.listTagsForResource({ resourceArn: arn })).tags, tags, arn);
    await api.tagResource({ resourceArn: arn, tags: { team: 'lake', stage: '' } });
    await api.untagResource({ resourceArn: arn, tagKeys: ['stage', 'cost centre'] });
    assert.deepEqual((await api.listTagsForResource({ resourceArn: arn })).tags, { team: 'lake' }, arn);
  }
});

await example('in session', async () => {
  const { arn: stageArn } = stage;
  assert.deepEqual((await api.listStageSessions({ stageArn })).stageSessions, []);
  const { participantId, token } = tokens[0];
  tell({ join: { arn: stageArn, id: participantId, token } });
  const sessionId = await eventually('the stage has a session', async () => {
    const { activeSessionId } = (await api.getStage({ arn: stageArn })).stage;
    assert.ok(activeSessionId, 'no session');
    return activeSessionId;
  });
  assert.match(sessionId, /^st-[A-Za-z0-9]{13}$/);
  assert.equal((await api.listStages({})).stages[0].activeSessionId, sessionId);
  const { stageSession } = await api.getStageSession({ stageArn, sessionId });
  assert.deepEqual(stageSession, { sessionId, startTime: stageSession.startTime });
  assert.ok(Math.abs(stageSession.startTime - Date.now()) < 60_000, `it started ${stageSession.startTime}`);
  assert.deepEqual((await api.listStageSessions({ stageArn })).stageSessions, [stageSession]);

  const { participant } = await api.getParticipant({ stageArn, sessionId, participantId });
  const { participantId: id, userId, state, attributes, published, protocol, recordingState, replicationType } = participant;
  assert.deepEqual({ id, userId, state, attributes, published, protocol, recordingState, replicationType }, {
    id: participantId, userId: 'ana', state: 'CONNECTED', attributes: { role: 'host' }, published: false, protocol: 'UNKNOWN', recordingState: 'DISABLED', replicationType: 'NONE',
  });
  for (const filter of [{}, { filterByUserId: 'ana' }, { filterByState: 'CONNECTED' }, { filterByPublished: false }]) {
    const { participants } = await api.listParticipants({ stageArn, sessionId, ...filter });
    assert.deepEqual(participants.map((p) => p.participantId), [participantId], JSON.stringify(filter));
  }
  for (const filter of [{ filterByUserId: 'ben' }, { filterByState: 'DISCONNECTED' }, { filterByPublished: true }, { filterByRecordingState: 'ACTIVE' }]) {
    assert.deepEqual((await api.listParticipants({ stageArn, sessionId, ...filter })).participants, [], JSON.stringify(filter));
  }
  await refused(sdk.ValidationException, api.listParticipants({ stageArn, sessionId, filterByUserId: 'ana', filterByPublished: false }), 'one filter');
  const events = async () => (await api.listParticipantEvents({ stageArn, sessionId, participantId })).events;
  assert.deepEqual((await events()).map((e) => e.name), ['JOINED']);

  assert.deepEqual(plain(await api.disconnectParticipant({ stageArn, participantId, reason: 'enough' })), {});
  await eventually('the participant has left', async () => {
    assert.deepEqual((await events()).map((e) => e.name), ['LEFT', 'JOINED']);
    assert.equal((await api.getParticipant({ stageArn, sessionId, participantId })).participant.state, 'DISCONNECTED');
  });
});

await example('what is not there yet', async () => {
  const { arn: stageArn } = stage;
  const refuses = (call) => assert.rejects(call, (err) => {
    assert.equal(err.name, 'NotImplementedException');
    assert.equal(err.$metadata.httpStatusCode, 501);
    assert.match(err.message, /is not implemented by this server/);
    return true;
  });
  await refuses(api.startComposition({ stageArn, layout: { grid: { gridGap: 2 } }, destinations: [
    { s3: { storageConfigurationArn: storage.arn, encoderConfigurationArns: [encoder.arn] } },
  ] }));
  const arn = stageArn.replace(':stage/', ':composition/');
  await refused(sdk.ResourceNotFoundException, api.getComposition({ arn }), arn);
  await refused(sdk.ResourceNotFoundException, api.stopComposition({ arn }), arn);
  assert.deepEqual(plain(await api.listCompositions({ filterByStageArn: stageArn })), { compositions: [] });
  const { stage: other } = await api.createStage({});
  const replication = { sourceStageArn: stageArn, destinationStageArn: other.arn, participantId: 'ana' };
  await refuses(api.startParticipantReplication(replication));
  await refused(sdk.ResourceNotFoundException, api.stopParticipantReplication(replication), 'ana');
  assert.deepEqual(plain(await api.listParticipantReplicas({ sourceStageArn: stageArn, participantId: 'ana' })), { replicas: [] });
  await api.deleteStage({ arn: other.arn });
});

await example('pages', async () => {
  const { stage: second } = await api.createStage({ name: 'second' });
  const config = { client: api, pageSize: 1 };
  const listed = [];
  for await (const page of sdk.paginateListStages(config, {})) {
    assert.ok(page.stages.length <= 1, `a page of ${page.stages.length}`);
    listed.push(...page.stages.map(({ arn }) => arn));
  }
  assert.deepEqual(listed, [stage.arn, second.arn]);
  await api.deleteStage({ arn: second.arn });
  await refused(sdk.ValidationException, api.listStages({ nextToken: 'bm90IG91cnM=' }), 'nextToken');
});

await example('clean up', async () => {
  for (const [operation, { arn }] of Object.entries({
    deleteStage: stage, deleteIngestConfiguration: ingest, deletePublicKey: publicKey, deleteEncoderConfiguration: encoder, deleteStorageConfiguration: storage,
  })) {
    assert.deepEqual(plain(await api[operation]({ arn })), {});
    await refused(sdk.ResourceNotFoundException, api[operation]({ arn }));
  }
});

await example('what is gone', async () => {
  for (const [operation, input] of [
    ['getStage', { arn: stage.arn }], ['updateStage', { arn: stage.arn }], ['createParticipantToken', { stageArn: stage.arn }],
    ['disconnectParticipant', { stageArn: stage.arn, participantId: 'ana' }], ['getStageSession', { stageArn: stage.arn, sessionId: 'st-AAAAAAAAAAAAA' }],
    ['getParticipant', { stageArn: stage.arn, sessionId: 'st-AAAAAAAAAAAAA', participantId: 'ana' }],
    ['getIngestConfiguration', { arn: ingest.arn }], ['updateIngestConfiguration', { arn: ingest.arn }], ['getPublicKey', { arn: publicKey.arn }],
    ['getEncoderConfiguration', { arn: encoder.arn }], ['getStorageConfiguration', { arn: storage.arn }], ['listTagsForResource', { resourceArn: unknown(stage.arn) }],
  ]) {
    await example(operation, () => refused(sdk.ResourceNotFoundException, api[operation](input)));
  }
});

await example('what is wrong is named', async () => {
  for (const [operation, input, member] of [
    ['createStage', { name: 'no spaces!' }, 'name'], ['createStage', { participantTokenConfigurations: [{ duration: 20161 }] }, 'participantTokenConfigurations[0].duration'],
    ['createParticipantToken', { stageArn: stage.arn, capabilities: ['FLY'] }, 'capabilities[0]'], ['getStage', {}, 'arn'],
    ['createStage', { autoParticipantRecordingConfiguration: { storageConfigurationArn: storage.arn } }, 'autoParticipantRecordingConfiguration.storageConfigurationArn'],
    ['listParticipants', { stageArn: stage.arn, sessionId: 'st-short' }, 'sessionId'], ['importPublicKey', { publicKeyMaterial: 'no key' }, 'publicKeyMaterial'],
    ['createIngestConfiguration', { ingestProtocol: 'RTMP' }, 'insecureIngest'], ['createIngestConfiguration', { ingestProtocol: 'RTMPS', stageArn: stage.arn }, 'stageArn'],
    ['createEncoderConfiguration', { video: { framerate: 60.5 } }, 'video.framerate'], ['createEncoderConfiguration', { video: { width: 641 } }, 'video.width'],
    ['startComposition', { stageArn: stage.arn, destinations: [] }, 'destinations'],
  ]) {
    await example(operation, () => refused(sdk.ValidationException, api[operation](input), member));
  }
});

tell({ known: operationsOf(sdk).filter((name) => !notThere.includes(name)) });
