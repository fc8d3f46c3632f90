// Predicts the rows of the file `inputs` by the script of a package, and writes the bits to the file `results`.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { strict as assert } from 'node:assert';

const [name, samples, float] = process.argv.slice(2);
const script = createRequire(import.meta.url)(`./${name}.js`);
const network = await script.load();
const bytes = readFileSync('inputs');
const Floats = float === 'f64' ? Float64Array : Float32Array;
const rows = new Floats(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));

network.selfTest();
const options = { samples: Number(samples), seed: 5n, firstRow: 7 };
const answer = network.predict(rows, options);
// what is refused changes nothing, and neither do other calls
assert.throws(() => network.predict(rows.subarray(1)), RangeError);
assert.throws(() => network.predict(rows, { samples: 0 }), { status: 'ERROR_SAMPLES' });
assert.throws(() => network.predict(rows.map(() => NaN)), script.NetworkError);
assert.equal(Object.values(network.predict([])).flatMap((array) => [...array]).length, 0);
assert.deepEqual(network.predict([...rows], options), answer);
writeFileSync('results', Buffer.concat(Object.values(answer).map((array) => Buffer.from(array.buffer))));
