// Compares what the server really answers with the schema that the SDK has of
// each operation. The SDK itself overlooks what it does not know, and leaves out
// what it cannot read.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { NormalizedSchema } from '@smithy/core/schema';

// Which every answer of the service carries.
const headers = ['access-control-allow-origin', 'access-control-expose-headers', 'cache-control', 'content-security-policy',
  'strict-transport-security', 'x-content-type-options', 'x-frame-options', 'x-amzn-requestid'];

// watchAnswers has each call of a client fail that is not answered as the
// schema says, and tells of those that worked: answered(operation, status).
export function watchAnswers(client, sdk, answered) {
  client.middlewareStack.add((next, context) => async (args) => {
    const result = await next(args);
    const { statusCode, headers, body } = result.response;
    const text = await collect(body);
    result.response.body = Readable.from([text]);
    const operation = context.commandName.replace(/Command$/, '');
    if (statusCode < 300) {
      checkAnswer(sdk[operation + '$'], statusCode, headers, text);
      answered(operation, statusCode);
    } else if (statusCode !== 501) { // which no SDK has a class for
      checkError(sdk, statusCode, headers, text);
    }
    return result;
  }, { step: 'deserialize', priority: 'low', name: 'watchAnswers' }); // the last before the wire
}

function checkAnswer([, , operation, { http: [, , status] }, , output], statusCode, headers, text) {
  assert.equal(statusCode, status, `${operation}: status`);
  checkHeaders(operation, headers);
  if (status === 204) {
    assert.equal(text, '', `${operation}: an answer of 204 has no body`);
    return;
  }
  assert.equal(headers['content-type'], 'application/json', operation);
  checkValue(NormalizedSchema.of(output), JSON.parse(text), operation);
}

function checkError(sdk, statusCode, headers, text) {
  const name = headers['x-amzn-errortype'];
  assert.ok(name && sdk[name + '$'], `the SDK knows no error ${name}: ${statusCode} ${text}`);
  const [, , , { httpError }] = sdk[name + '$'];
  assert.equal(statusCode, httpError, name);
  checkHeaders(name, headers);
  const body = JSON.parse(text);
  assert.ok(body.exceptionMessage.length > 0, `${name} has no message`);
  // Other SDKs read message, though the schema does not have it.
  assert.deepEqual(body, { exceptionMessage: body.exceptionMessage, message: body.exceptionMessage }, name);
}

function checkHeaders(name, got) {
  for (const header of headers) assert.ok(got[header], `${name}: no header ${header}`);
}

// checkValue checks a JSON value's type, and that of all in it.
function checkValue(schema, value, path) {
  if (schema.isStructSchema()) {
    assert.ok(value !== null && typeof value === 'object' && !Array.isArray(value), `${path} is ${typeof value}, not an object`);
    const members = new Map([...schema.structIterator()].filter(([, member]) => !member.getMergedTraits().httpHeader));
    for (const [name, v] of Object.entries(value)) {
      assert.ok(members.has(name), `${path}.${name} is not in the SDK's ${schema.getName()}`);
      if (v !== null) checkValue(members.get(name), v, `${path}.${name}`);
    }
    const [, , , , names, , required = 0] = schema.getSchema(); // those that are required come first
    for (const name of names.slice(0, required)) assert.ok(value[name] != null, `${path}.${name} is missing`);
  } else if (schema.isListSchema()) {
    assert.ok(Array.isArray(value), `${path} is ${typeof value}, not a list`);
    value.forEach((v, i) => checkValue(schema.getValueSchema(), v, `${path}[${i}]`));
  } else if (schema.isMapSchema()) {
    assert.ok(value !== null && typeof value === 'object' && !Array.isArray(value), `${path} is ${typeof value}, not an object`);
    for (const [name, v] of Object.entries(value)) checkValue(schema.getValueSchema(), v, `${path}[${name}]`);
  } else if (schema.isTimestampSchema()) {
    assert.match(String(value), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, `${path} is no time in ISO 8601`);
  } else {
    const type = schema.isBooleanSchema() ? 'boolean' : schema.isNumericSchema() ? 'number' : 'string';
    assert.equal(typeof value, type, path);
  }
}

async function collect(body) {
  const chunks = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
