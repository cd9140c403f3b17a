// What the programs that call the API have in common: each is a story in parts,
// and tells on stdout what went wrong with each.
import assert from 'node:assert/strict';

export const tell = (line) => console.log(JSON.stringify(line));

// example is a part of the story. The rest goes on without it where it can.
export async function example(name, run) {
  try {
    await run();
  } catch (err) {
    const [before] = err.stack.split(/at (?:async )?example /); // which ends with the line in run
    const place = before.match(/(?:operations|stages)\.mjs:\d+/g)?.at(-1);
    tell({ problem: `${name} (${place}): ${err.message}` });
  }
}

// refused calls what must be answered with an error of a class of the SDK's.
export async function refused(kind, call, mentions = '') {
  await assert.rejects(call, (err) => {
    assert.ok(err instanceof kind && err.name === kind.name, `${err.name}: ${err.message}, which is no ${kind.name}`);
    assert.ok(err.message.includes(mentions) && err.exceptionMessage === err.message, `the message does not say ${mentions}: ${err.message}`);
    assert.ok(err.$metadata.requestId, 'no request id');
    return true;
  });
}

export async function eventually(what, check) {
  for (const deadline = Date.now() + 20000; ; await new Promise((done) => setTimeout(done, 100))) {
    try {
      return await check();
    } catch (err) {
      if (err.name === 'AssertionError' && Date.now() > deadline) throw new Error(`not in time: ${what}: ${err.message}`);
      if (err.name !== 'AssertionError') throw err;
    }
  }
}

export const plain = ({ $metadata, ...answer }) => answer; // without what the SDK adds
export const unknown = (arn) => arn.replace(/\/.*/, '/AAAAAAAAAAAA');
export const tags = { team: 'river', 'cost centre': 'Zürich/1' };

// operationsOf are the names of all operations of an SDK.
export const operationsOf = (sdk) => Object.keys(sdk).filter((name) => /^[A-Z].*Command$/.test(name)).map((name) => name.replace(/Command$/, ''));
