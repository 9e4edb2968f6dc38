// node judge.js PROTO_DIR HOST:PORT: gRPC's JavaScript client against
// cmd/echo -grpc. Each check prints a line; the exit code is the number of those
// that failed.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [dir, address] = process.argv.slice(2);
const file = 'internal/echo/echopb/echo.proto';
const loaded = loader.loadSync(file, { includeDirs: [dir], keepCase: true, longs: Number, defaults: true });
const { Echo, Clock } = grpc.loadPackageDefinition(loaded).weir.echo.v1;
const { status } = grpc;

const plain = grpc.credentials.createInsecure();
const open = [];
const client = (Service, options) => {
  const c = new Service(address, plain, options);
  open.push(c);
  return c;
};
const echo = client(Echo, {});
const clock = client(Clock, {});

// soon is the deadline of calls that end at once unless something is broken.
const soon = () => ({ deadline: Date.now() + 20000 });

const unary = (c, m, meta = new grpc.Metadata(), options = soon()) =>
  new Promise((yes, no) => c.Unary(m, meta, options, (err, answer) => (err ? no(err) : yes(answer))));

// all reads a call to its end: its messages, or its error.
const all = (call) =>
  new Promise((yes, no) => {
    const got = [];
    call.on('data', (m) => got.push(m));
    call.on('error', no);
    call.on('end', () => yes(got));
  });

// failsWith expects a status.
const failsWith = async (code, promise) => {
  const err = await promise.then(() => null, (e) => e);
  assert(err, 'no error');
  assert.strictEqual(err.code, code, String(err));
};

const collect = (messages) =>
  new Promise((yes, no) => {
    const call = echo.Collect(soon(), (err, sum) => (err ? no(err) : yes(sum)));
    messages.forEach((m) => call.write(m));
    call.end();
  });

// pingPong sends message after message, each when the one before is back.
const pingPong = (n) =>
  new Promise((yes, no) => {
    const call = echo.Bidi(soon());
    let i = 0;
    call.on('data', (m) => {
      if (m.text !== `message ${i}`) return no(new Error(`got ${m.text}, want message ${i}`));
      if (++i === n) call.end();
      else call.write({ text: `message ${i}` });
    });
    call.on('error', no);
    call.on('end', () => (i === n ? yes() : no(new Error(`ended after ${i}`))));
    call.write({ text: 'message 0' });
  });

// subscribe hears n ticks and cancels.
const subscribe = (n) =>
  new Promise((yes, no) => {
    const call = clock.Subscribe({}, soon());
    const ticks = [];
    call.on('data', (tick) => {
      ticks.push(tick);
      if (ticks.length === n) call.cancel();
    });
    call.on('error', (err) => (err.code === status.CANCELLED ? yes(ticks) : no(err)));
  });

const health = (service) =>
  new Promise((yes, no) => {
    const name = Buffer.from(service);
    const request = Buffer.concat([Buffer.from([10, name.length]), name]);
    const same = (bytes) => bytes;
    echo.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, request,
      new grpc.Metadata(), soon(), (err, answer) => (err ? no(err) : yes(answer)));
  });

const body = (n) => Buffer.alloc(n, 7);

const checks = {
  'unary': async () => assert.strictEqual((await unary(echo, { text: 'héllo' })).text, 'héllo'),
  'an empty message': async () => assert.strictEqual((await unary(echo, {})).text, ''),
  'a message of 3 MiB': async () => assert(body(3 << 20).equals((await unary(echo, { body: body(3 << 20) })).body)),
  'a message that is too large': () => failsWith(status.RESOURCE_EXHAUSTED, unary(echo, { body: body(5 << 20) })),
  'gzip': async () => {
    const c = client(Echo, { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
    assert(body(100000).equals((await unary(c, { body: body(100000) })).body));
  },
  'metadata, binary too': async () => {
    const meta = new grpc.Metadata();
    meta.set('who', 'a judge');
    meta.set('what-bin', body(100));
    await unary(echo, { text: 'a' }, meta);
  },
  'metadata that is too large': async () => {
    const meta = new grpc.Metadata();
    meta.set('long', 'x'.repeat(20000));
    await failsWith(status.RESOURCE_EXHAUSTED, unary(echo, { text: 'a' }, meta));
  },
  'a thousand calls at once': async () => {
    const texts = Array.from({ length: 1000 }, (_, i) => `call ${i}`);
    const answers = await Promise.all(texts.map((text) => unary(echo, { text })));
    assert.deepStrictEqual(answers.map((a) => a.text), texts);
  },
  'server push': async () => {
    const got = await all(echo.Push({ message: { text: 'a' }, count: 1000 }, soon()));
    assert.strictEqual(got.length, 1000);
    assert(got.every((m) => m.text === 'a'));
  },
  'a push of nothing': async () => assert.deepStrictEqual(await all(echo.Push({}, soon())), []),
  'a push of 20 MB': async () => {
    const got = await all(echo.Push({ message: { body: body(10000) }, count: 2000 }, soon()));
    assert.strictEqual(got.length, 2000);
  },
  'an error of the server': () => failsWith(status.INVALID_ARGUMENT, all(echo.Push({ count: 2000000 }, soon()))),
  'client stream': async () => assert.deepStrictEqual(
    await collect([{ text: 'a' }, { text: 'bc' }, { body: body(10) }]), { messages: 3, bytes: 13 }),
  'client stream of nothing': async () => assert.deepStrictEqual(await collect([]), { messages: 0, bytes: 0 }),
  'both ways, in turn': () => pingPong(100),
  'a hundred at once': () => Promise.all(Array.from({ length: 100 }, () => pingPong(20))),
  'both ways, all at once': async () => {
    const call = echo.Bidi(soon());
    const got = all(call);
    for (let i = 0; i < 2000; i++) call.write({ text: `${i}`, body: body(1000) });
    call.end();
    assert.deepStrictEqual((await got).map((m) => m.text), Array.from({ length: 2000 }, (_, i) => `${i}`));
  },
  'ticks, and cancelling them': async () => {
    const ticks = await subscribe(2);
    assert.strictEqual(ticks[0].due.nanos, 0);
    assert.strictEqual(ticks[1].number, ticks[0].number + 1 + ticks[1].skipped);
  },
  'a deadline': () => failsWith(status.DEADLINE_EXCEEDED,
    all(clock.Subscribe({}, { deadline: Date.now() + 100 }))),
  'health': async () => assert.deepStrictEqual([...await health('weir.echo.v1.Echo')], [8, 1]),
  'health of a stranger': () => failsWith(status.NOT_FOUND, health('x')),
  'an unknown method': () => failsWith(status.UNIMPLEMENTED, new Promise((yes, no) =>
    echo.makeUnaryRequest('/weir.echo.v1.Echo/Nothing', (b) => b, (b) => b, Buffer.alloc(0),
      new grpc.Metadata(), soon(), (err) => (err ? no(err) : yes())))),
  'and all is well after that': async () => assert.strictEqual((await unary(echo, { text: 'a' })).text, 'a'),
};

(async () => {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok    ${name}`);
    } catch (err) {
      failed++;
      console.log(`FAIL  ${name}: ${err.stack}`);
    }
  }
  open.forEach((c) => c.close());
  console.log(`${Object.keys(checks).length - failed} of ${Object.keys(checks).length}`);
  process.exitCode = failed;
})();
